"""The known runs, one YAML file each, stating only what they change."""
