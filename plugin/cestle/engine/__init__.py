"""Durable workflows behind `JobEngine`: the only package that imports dbos."""
