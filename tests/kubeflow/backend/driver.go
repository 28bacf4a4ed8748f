package driver

// The driver's functions that turn a task's container and Kubernetes settings into a patch of its pod. Their parameters
// change between versions, so the caller passes them by type.
var (
	InitPodSpecPatch   any = initPodSpecPatch
	ExtendPodSpecPatch any = extendPodSpecPatch
)
