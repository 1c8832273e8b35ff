"""Data and settings to try Palio with, all of them made up."""
