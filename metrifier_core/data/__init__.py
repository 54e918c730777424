"""Tables, the data set, its splits and views, and the cards."""
