"""What a booting machine is told and must prove: tokens, scripts, identity. All pure."""
