"""The native API over HTTP: parse, call one verb, render."""
