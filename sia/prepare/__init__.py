"""Turns a Kaggle competition into a task package: download, split, write."""
