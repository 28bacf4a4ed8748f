// Prints what Kubeflow Pipelines' backend makes of a compiled pipeline: Argo's workflow, and the patch of each task's pod.
//
// Usage: proof FILE.yaml. Prints {"workflow": …, "pods": {task: pod spec}}. Exits with 1 if the backend's template
// parser, its compiler, Argo's validation or the driver reports an error.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/kubeflow/pipelines/api/v2alpha1/go/pipelinespec"
	"github.com/kubeflow/pipelines/backend/src/apiserver/model"
	"github.com/kubeflow/pipelines/backend/src/apiserver/template"
	"github.com/kubeflow/pipelines/backend/src/v2/driver"
	"github.com/kubeflow/pipelines/kubernetes_platform/go/kubernetesplatform"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	core "k8s.io/api/core/v1"
)

var anything = reflect.TypeFor[any]()

const runID = "00000000-0000-0000-0000-000000000000"

func main() {
	document, err := os.ReadFile(os.Args[1])
	check("read", err)
	workflow := compile(document)
	output, err := json.Marshal(map[string]any{"workflow": workflow, "pods": pods(workflow)})
	check("print", err)
	fmt.Println(string(output))
}

// compile does what the API server does for a new run, and returns the workflow as JSON.
func compile(document []byte) map[string]any {
	results := call(template.New, document)
	check("parse the file", failure(results))
	parsed := results[0].Interface().(template.Template)
	run := &model.Run{DisplayName: "proof", Namespace: "kubeflow"}
	workflow, err := parsed.RunWorkflow(run, template.RunWorkflowOptions{runID, 0})
	check("compile for Argo", err)
	check("Argo's validation", workflow.Validate(true, false))
	var result map[string]any
	check("read the workflow", json.Unmarshal([]byte(workflow.ToStringForStore()), &result))
	return result
}

// pods returns the driver's pod patch for each container task of the workflow.
func pods(workflow map[string]any) map[string]*core.PodSpec {
	spec := workflow["spec"].(map[string]any)
	values := map[string]string{}
	for _, parameter := range list(spec["arguments"], "parameters") {
		values["{{workflow.parameters."+parameter["name"].(string)+"}}"], _ = parameter["value"].(string)
	}
	result := map[string]*core.PodSpec{}
	for _, template := range spec["templates"].([]any) {
		for _, task := range list(template.(map[string]any)["dag"], "tasks") {
			name := task["name"].(string)
			if !strings.HasSuffix(name, "-driver") || name == "root-driver" {
				continue
			}
			arguments := map[string]string{}
			for _, parameter := range list(task["arguments"], "parameters") {
				value, _ := parameter["value"].(string)
				if known, ok := values[value]; ok {
					value = known
				}
				arguments[parameter["name"].(string)] = value
			}
			result[strings.TrimSuffix(name, "-driver")] = pod(arguments)
		}
	}
	return result
}

// pod returns the driver's patch of one task's pod, from the arguments that the workflow passes to the driver.
func pod(arguments map[string]string) *core.PodSpec {
	container := &pipelinespec.PipelineDeploymentConfig_PipelineContainerSpec{}
	component := &pipelinespec.ComponentSpec{}
	kubernetes := &kubernetesplatform.KubernetesExecutorConfig{}
	for name, message := range map[string]proto.Message{
		"container": container, "component": component, "kubernetes-config": kubernetes,
	} {
		if text := arguments[name]; text != "" {
			check("parse "+name, protojson.Unmarshal([]byte(text), message))
		}
	}
	results := call(driver.InitPodSpecPatch, container, component, &pipelinespec.ExecutorInput{})
	check("the driver's pod", failure(results))
	patch := results[0].Interface().(*core.PodSpec)
	options := driver.Options{Container: container, Component: component, KubernetesExecutorConfig: kubernetes}
	check("the driver's Kubernetes settings",
		failure(call(driver.ExtendPodSpecPatch, context.Background(), patch, kubernetes, options)))
	return patch
}

// call calls a function with the given arguments at the first parameters of their types, and zero for all others.
func call(function any, given ...any) []reflect.Value {
	signature := reflect.TypeOf(function)
	arguments := make([]reflect.Value, signature.NumIn())
	for index := range arguments {
		arguments[index] = reflect.Zero(signature.In(index))
		for _, value := range given {
			kind := signature.In(index)
			if value := reflect.ValueOf(value); value.Type().AssignableTo(kind) && kind != anything {
				arguments[index] = value
			}
		}
	}
	return reflect.ValueOf(function).Call(arguments)
}

func failure(results []reflect.Value) error {
	err, _ := results[len(results)-1].Interface().(error)
	return err
}

func list(parent any, key string) []map[string]any {
	var result []map[string]any
	if parent, ok := parent.(map[string]any); ok {
		items, _ := parent[key].([]any)
		for _, item := range items {
			result = append(result, item.(map[string]any))
		}
	}
	return result
}

func check(step string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", step, err)
		os.Exit(1)
	}
}
