# A minion says that it started: hand its name over. The conductor asks the minion itself.
racksalt_minion_started:
  runner.racksalt.minion_started:
    - args:
        - node: {{ data["id"] | json }}
