"""One script per peer: run with the peers' Python, each prints one line of JSON. They import nothing of Tunesmith."""
