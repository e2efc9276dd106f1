"""Which UUs are selected, which rows are added to training, and the filter that judges them."""
