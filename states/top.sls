# What every accepted minion gets with a plain state.apply.
base:
  '*':
    - base
