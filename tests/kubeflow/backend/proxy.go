package main

import "github.com/kubeflow/pipelines/backend/src/apiserver/config/proxy"

// The API server and the driver do this when they start; 2.4 has no such package.
func init() { proxy.InitializeConfigWithEnv() }
