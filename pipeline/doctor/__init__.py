"""What is wrong with this installation, machine or store, and the command that mends it.

finding.py        what a check says
examine.py        all checks side by side, each with a time limit; a crash is a finding
installation.py machine.py threads.py encoders.py store.py configs.py bundle.py service.py
                  the checks
redact.py advise.py   a summary without names, and what an endpoint suggests on it
"""
