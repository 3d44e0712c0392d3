// Owns the checks of the manifests in docker/kubernetes that need no server: that Kubernetes would take
// them, and that what refers to something else finds it.
package kubernetes

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const folder = "../../docker/kubernetes"

type manifests struct {
	services map[string]corev1.Service
	config   corev1.ConfigMap
	set      appsv1.StatefulSet
	budget   policyv1.PodDisruptionBudget
}

// read decodes every document; a field that does not exist is an error.
func read(t *testing.T) manifests {
	t.Helper()
	found := manifests{services: map[string]corev1.Service{}}
	for _, name := range kustomized(t) {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			var head metav1.TypeMeta
			if err := yaml.Unmarshal(document, &head); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var into any
			var service corev1.Service
			switch head.APIVersion + " " + head.Kind {
			case "v1 Service":
				into = &service
			case "v1 ConfigMap":
				into = &found.config
			case "apps/v1 StatefulSet":
				into = &found.set
			case "policy/v1 PodDisruptionBudget":
				into = &found.budget
			default:
				t.Fatalf("%s: nobody checks %s %s", name, head.APIVersion, head.Kind)
			}
			if err := strictly(document, into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if service.Name != "" {
				found.services[service.Name] = service
			}
		}
	}
	return found
}

// strictly decodes as Kubernetes does, which minds upper and lower case; a field that does not exist, or is
// there twice, is an error.
func strictly(document []byte, into any) error {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	wrong, err := json.UnmarshalStrict(text, into)
	return errors.Join(append(wrong, err)...)
}

// kustomized has the files that kustomization.yaml names.
func kustomized(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		metav1.TypeMeta `json:",inline"`
		Resources       []string `json:"resources"`
	}
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		t.Fatal(err)
	}
	return list.Resources
}

func TestEveryFileIsInTheKustomization(t *testing.T) {
	there, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	named := append(kustomized(t), "kustomization.yaml")
	for _, path := range there {
		if !slices.Contains(named, filepath.Base(path)) {
			t.Errorf("%s is applied by nobody", path)
		}
	}
	if len(there) != len(named) {
		t.Errorf("%v are named, %v are there", named, there)
	}
}

func TestFieldsThatDoNotExistAreRefused(t *testing.T) {
	var service corev1.Service
	for _, wrong := range []string{"clusterIp: None", "type: ClusterIP\n  type: NodePort", "ports: 2181"} {
		if strictly([]byte("kind: Service\nspec:\n  "+wrong+"\n"), &service) == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

func TestSelectorsFindThePods(t *testing.T) {
	all := read(t)
	labels := all.set.Spec.Template.Labels
	selectors := map[string]map[string]string{
		"the set":    all.set.Spec.Selector.MatchLabels,
		"the budget": all.budget.Spec.Selector.MatchLabels,
	}
	for name, service := range all.services {
		selectors["service "+name] = service.Spec.Selector
	}
	pod := all.set.Spec.Template.Spec
	for _, term := range pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		selectors["the affinity"] = term.LabelSelector.MatchLabels
	}
	for _, spread := range pod.TopologySpreadConstraints {
		selectors["the spread"] = spread.LabelSelector.MatchLabels
	}
	if len(selectors) != 6 {
		t.Errorf("there are %d selectors", len(selectors))
	}
	for who, selector := range selectors {
		if len(selector) == 0 {
			t.Errorf("%s selects everything", who)
		}
		for key, value := range selector {
			if labels[key] != value {
				t.Errorf("%s looks for %s=%s, pods have %q", who, key, value, labels[key])
			}
		}
	}
}

func TestMembersHaveNamesBeforeTheyAreReady(t *testing.T) {
	all := read(t)
	headless, ok := all.services[all.set.Spec.ServiceName]
	if !ok || headless.Spec.ClusterIP != corev1.ClusterIPNone || !headless.Spec.PublishNotReadyAddresses {
		t.Errorf("service %s: %+v", all.set.Spec.ServiceName, headless.Spec)
	}
	// start.sh makes the members' names of the set's.
	if headless.Name != all.set.Name+"-headless" {
		t.Errorf("the headless service of %s is called %s", all.set.Name, headless.Name)
	}
	if all.set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
		t.Error("the first member would wait for ever to be ready")
	}
	if all.budget.Spec.MaxUnavailable.IntValue() != 1 {
		t.Error("more than one member may be taken")
	}
}

func TestPortsAreThoseOfTheServerLines(t *testing.T) {
	all := read(t)
	ports := map[string]int32{}
	for _, port := range all.set.Spec.Template.Spec.Containers[0].Ports {
		ports[port.Name] = port.ContainerPort
	}
	if ports["client"] != 2181 || ports["quorum"] != 2888 || ports["election"] != 3888 {
		t.Errorf("%v", ports)
	}
	if !strings.Contains(all.config.Data["start.sh"], ":2888:3888:participant;2181") {
		t.Error("start.sh has other ports")
	}
	for name, service := range all.services {
		for _, port := range service.Spec.Ports {
			if ports[port.TargetPort.StrVal] != port.Port {
				t.Errorf("service %s leads from %d to %q", name, port.Port, port.TargetPort.StrVal)
			}
		}
	}
}

func TestVolumesAreThereAndOnlyTheirPlacesAreWritten(t *testing.T) {
	all := read(t)
	pod := all.set.Spec.Template.Spec
	container := pod.Containers[0]
	volumes := []string{all.set.Spec.VolumeClaimTemplates[0].Name}
	for _, volume := range pod.Volumes {
		volumes = append(volumes, volume.Name)
		if volume.ConfigMap != nil && volume.ConfigMap.Name != all.config.Name {
			t.Errorf("config map %s", volume.ConfigMap.Name)
		}
	}
	for _, mount := range container.VolumeMounts {
		if !slices.Contains(volumes, mount.Name) {
			t.Errorf("there is no volume %s", mount.Name)
		}
		if mount.ReadOnly == (mount.Name == "data") {
			t.Errorf("%s: read only is %t", mount.Name, mount.ReadOnly)
		}
	}
	security := container.SecurityContext
	if !*security.ReadOnlyRootFilesystem || *security.AllowPrivilegeEscalation ||
		!slices.Equal(security.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("%+v", security)
	}
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 {
		t.Errorf("%+v", pod.SecurityContext)
	}
	if container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
		t.Errorf("%+v", container.Resources)
	}
}
