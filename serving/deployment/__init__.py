"""Bundles in service: opened beside the old one, checked, swapped, compared, and taken back.

arms.py        Arm: one opened bundle and all that answers from it; Lineup: the arms of a moment
opening.py     a fingerprint to an Arm, or a named reason why not
plan.py        which challenger and shadow there should be: a file that all workers read
guardrail.py   how control and challenger do, and when the challenger has to go
clicks.py      whose lists are taken up: each user once, compared at any time
shadow.py      lists of a bundle that nobody sees, compared off the request's path
memory.py      what bundles that have gone leave behind, given back
deployment.py  Deployment: holds the lineup, follows the store and the plan; Watcher: its thread
"""
