"""Virtual machines with firmware, a BMC, a disk that stays, and a real salt-minion or a light agent."""
