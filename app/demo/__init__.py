"""A made-up data set for a first look."""
