"""Readers and makers of labelled hands."""
