"""What experiments found: results, tables. Numbers from events; nothing here changes an experiment."""
