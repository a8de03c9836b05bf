"""Who may take part, and what registers say: profiles, miners, investors, a regime."""
