# A minion says that it started. It is journalled; the conductor asks the minion itself.
racksalt_minion_started:
  runner.racksalt.hint:
    - args:
        - tag: {{ tag | json }}
        - data: {{ data | json }}
