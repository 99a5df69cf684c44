"""When to stop, pause, promote or exploit a trial: one file, one method, one paper."""
