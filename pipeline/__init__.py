"""PlotPointe's batch pipeline: a raw multi-modal catalogue in, a served recommender out.

The map:
    flow.py        the stages in order and what each needs: read this first
    execute.py     runs steps in their own processes (children.py), side by side; what such a
                   process is given, and does, in orders.py
    job.py         what a stage is given
    cli/           the command line
    gallery.py     strips of pictures, for notebooks
    config.py      one frozen model per stage; those that learn in config_train.py, those
                   that follow training in config_results.py

    schema.py ids.py arrays.py errors.py files.py hashing.py artifacts.py registry.py sections.py
    nearest.py scoring.py interactions.py likeness.py rerank.py relations.py ranking/ newcomers/
    places.py promotion.py promises/
                   the floor: imported by every stage and the service

    etl/ embed/ graph/ train/ rank/ evaluate/ index/   the stages: none imports another
    models/        tensors in, tensors out
    compare/       reports and data beside each other, by user and by feature
    planner/       what a run will take, before it runs
    tune/          the search of a training section, on validation
    leaks/         does anything in a run know held-out interactions?
    carbon/        what runs drew, emitted and cost: reports, budgets, prices
    doctor/        what is wrong with an installation, a machine or a store
    runs/          a run's record in the store; lists, differences, curves, its page
    history/       all runs over time: trends, changes, alarms
    measure/       cost, energy, profiles, statistics, drift, alarms, trackers; imports nothing
                   else of ours
    profiled.py    a stage run under the profilers
"""
