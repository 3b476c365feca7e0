"""The function runner as a process: follows FunctionConfigs, runs pods in a real cluster, finds registries."""
