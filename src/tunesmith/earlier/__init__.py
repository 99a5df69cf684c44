"""What other experiments found, ours and those of other tools, read as configs with losses: `warm_from=`."""
