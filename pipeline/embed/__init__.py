"""Embed: item texts and pictures to vectors."""
