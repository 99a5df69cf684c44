"""What watches an experiment: the display and the files beside the journal. Losing what they write loses nothing."""
