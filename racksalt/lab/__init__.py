"""Virtual machines that behave like servers: firmware, a BMC, a disk that stays, a real salt-minion or a light agent."""
