// Owns runs of what the manifests start, on network namespaces in place of pods: start.sh, the probes, and
// the commands of README.md. Needs root, iproute2 and the release binaries.
package kubernetes

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	password = "secret"
	patience = 40 * time.Second
)

// A pod is a namespace with a name, an address, a volume and at times a process.
type pod struct {
	name, space, address, volume string
	process                      *exec.Cmd
	log                          *bytes.Buffer
}

type cluster struct {
	t        *testing.T
	all      manifests
	binaries string
	config   string
	secret   string
	bridge   string
	pods     []*pod
}

func (c *cluster) ip(words string, arguments ...any) {
	c.t.Helper()
	line := strings.Fields(fmt.Sprintf(words, arguments...))
	if out, err := exec.Command("ip", line...).CombinedOutput(); err != nil {
		c.t.Fatalf("ip %s: %v: %s", strings.Join(line, " "), err, out)
	}
}

func newCluster(t *testing.T, count int) *cluster {
	binaries, err := filepath.Abs("../../target/release")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, all: read(t), binaries: binaries}
	c.bridge = fmt.Sprintf("mgk%d", os.Getpid())
	c.config, c.secret = t.TempDir(), t.TempDir()
	for name, text := range c.all.config.Data {
		c.write(c.config, name, text)
	}
	digest := sha1.Sum([]byte("super:" + password))
	c.write(c.secret, "digest", base64.StdEncoding.EncodeToString(digest[:]))
	c.ip("netns add %s", c.bridge)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", c.bridge).Run() })
	c.ip("-n %s link add bridge type bridge", c.bridge)
	c.ip("-n %s link set bridge up", c.bridge)
	for at := range count {
		c.addPod(at)
	}
	return c
}

func (c *cluster) addPod(at int) {
	p := &pod{
		name:    fmt.Sprintf("%s-%d", c.all.set.Name, at),
		space:   fmt.Sprintf("%sp%d", c.bridge, at),
		address: fmt.Sprintf("10.254.7.%d", at+1),
		volume:  c.t.TempDir(),
	}
	etc := filepath.Join("/etc/netns", p.space)
	c.t.Cleanup(func() {
		c.end(p, syscall.SIGKILL)
		_ = os.RemoveAll(etc)
		_ = os.Remove("/etc/netns")
		_ = exec.Command("ip", "-n", c.bridge, "link", "del", fmt.Sprintf("v%d", at)).Run()
		_ = exec.Command("ip", "netns", "del", p.space).Run()
	})
	c.ip("netns add %s", p.space)
	c.ip("-n %s link set lo up", p.space)
	c.ip("-n %s link add v%d type veth peer name eth0 netns %s", c.bridge, at, p.space)
	c.ip("-n %s link set v%d master bridge up", c.bridge, at)
	c.ip("-n %s addr add %s/24 dev eth0", p.space, p.address)
	c.ip("-n %s link set eth0 up", p.space)
	if err := os.MkdirAll(etc, 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.write(etc, "resolv.conf", "")
	c.pods = append(c.pods, p)
}

// names tells every pod the names of the pods that run, as the headless service does.
func (c *cluster) names() {
	text := "127.0.0.1 localhost\n"
	for _, p := range c.pods {
		if p.process != nil {
			text += fmt.Sprintf("%s %s.%s\n", p.address, p.name, c.all.set.Spec.ServiceName)
		}
	}
	for _, p := range c.pods {
		c.write(filepath.Join("/etc/netns", p.space), "hosts", text)
	}
}

func (c *cluster) write(folder, name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// inside is a command as it would be run in the pod's container.
func (c *cluster) inside(ctx context.Context, p *pod, command []string) *exec.Cmd {
	words := append([]string{"netns", "exec", p.space, "env", "-i",
		"PATH=" + c.binaries + ":/usr/bin:/bin", "HOSTNAME=" + p.name,
		"DATA=" + p.volume, "CONFIG=" + c.config, "SECRET=" + c.secret, "ZOOCFGDIR=" + p.volume + "/conf",
	}, command...)
	return exec.CommandContext(ctx, "ip", words...)
}

// start runs the container's command; its directories are elsewhere here.
func (c *cluster) start(p *pod) {
	c.t.Helper()
	var command []string
	for _, word := range c.all.set.Spec.Template.Spec.Containers[0].Command {
		command = append(command, strings.Replace(word, "/config/", c.config+"/", 1))
	}
	p.process, p.log = c.inside(context.Background(), p, command), &bytes.Buffer{}
	p.process.Stdout, p.process.Stderr = p.log, p.log
	p.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.names()
	if err := p.process.Start(); err != nil {
		c.t.Fatal(err)
	}
}

// end stops a pod's process; nil when it ended in good order.
func (c *cluster) end(p *pod, how syscall.Signal) error {
	if p.process == nil {
		return nil
	}
	process := p.process
	p.process = nil
	_ = process.Process.Signal(how)
	grace := time.Duration(*c.all.set.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	late := time.AfterFunc(grace, func() { _ = process.Process.Kill() })
	defer late.Stop()
	return process.Wait()
}

// probe runs a probe once.
func (c *cluster) probe(p *pod, command []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := c.inside(ctx, p, command).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *cluster) readiness() []string {
	return c.all.set.Spec.Template.Spec.Containers[0].ReadinessProbe.Exec.Command
}

func (c *cluster) liveness() []string {
	return c.all.set.Spec.Template.Spec.Containers[0].LivenessProbe.Exec.Command
}

// rollout waits until all pods that run are ready.
func (c *cluster) rollout() {
	c.t.Helper()
	end := time.Now().Add(patience)
	for _, p := range c.pods {
		if p.process == nil {
			continue
		}
		for {
			said, err := c.probe(p, c.readiness())
			if err == nil {
				break
			}
			if time.Now().After(end) {
				c.t.Fatalf("%s is not ready: %s\n%s", p.name, said, p.log)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// shell runs commands of menagerie-tools' shell in a pod.
func (c *cluster) shell(p *pod, commands string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	run := c.inside(ctx, p, []string{"menagerie-tools", "shell"})
	run.Stdin = strings.NewReader(commands)
	out, err := run.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s: %q: %v: %s\n%s", p.name, commands, err, out, c.logs())
	}
	return string(out)
}

// logs is the ends of what the pods logged.
func (c *cluster) logs() string {
	const last = 25
	var all strings.Builder
	for _, p := range c.pods {
		if p.log == nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
		lines = lines[max(0, len(lines)-last):]
		fmt.Fprintf(&all, "%s logged:\n%s\n", p.name, strings.Join(lines, "\n"))
	}
	return all.String()
}

// documented is the commands of README.md whose last one begins so.
func documented(t *testing.T, begin string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`<<COMMANDS\n((?:.*\n)*?)COMMANDS\n`)
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(found[1], "\n"+begin) {
			return strings.ReplaceAll(found[1], "$PASSWORD", password)
		}
	}
	t.Fatalf("README.md does not tell how to %s", begin)
	return ""
}

func (c *cluster) voters(p *pod) int {
	return strings.Count(c.shell(p, "config\n"), ":participant")
}

func TestTheEnsembleStartsChangesAndEnds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root")
	}
	c := newCluster(t, 4)
	// The first one alone is alive and not ready.
	first := c.pods[0]
	c.start(first)
	end := time.Now().Add(patience)
	for {
		said, err := c.probe(first, c.liveness())
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not alive: %s\n%s", said, first.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if said, err := c.probe(first, c.readiness()); err == nil {
		t.Fatalf("one of three is ready: %s", said)
	}
	for _, p := range c.pods[1:3] {
		c.start(p)
	}
	c.rollout()
	if told := c.shell(first, "create /kept 1\n"); !strings.Contains(told, "Created /kept") {
		t.Fatal(told)
	}

	// A change of zoo.cfg, and a rolling restart as the set does it: the last one first.
	changed := strings.Replace(c.all.config.Data["zoo.cfg"], "tickTime=2000", "tickTime=1000", 1)
	c.write(c.config, "zoo.cfg", changed)
	for _, at := range []int{2, 1, 0} {
		if err := c.end(c.pods[at], syscall.SIGTERM); err != nil {
			t.Fatalf("%s did not end in good order: %v\n%s", c.pods[at].name, err, c.pods[at].log)
		}
		c.start(c.pods[at])
		c.rollout()
	}
	written, err := os.ReadFile(filepath.Join(first.volume, "conf/zoo.cfg"))
	if err != nil || !strings.Contains(string(written), "tickTime=1000") {
		t.Fatalf("%v: %s", err, written)
	}

	// One more.
	fourth := c.pods[3]
	c.start(fourth)
	c.rollout()
	if n := c.voters(first); n != 3 {
		t.Fatalf("%d voters before the reconfiguration", n)
	}
	c.shell(first, documented(t, "reconfig -add "))
	if n := c.voters(fourth); n != 4 {
		t.Fatalf("%d voters after the reconfiguration", n)
	}
	// Its list is on its volume, and those of the others on theirs.
	for _, at := range []int{3, 0, 2} {
		if err := c.end(c.pods[at], syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		c.start(c.pods[at])
		c.rollout()
		if n := c.voters(c.pods[at]); n != 4 {
			t.Fatalf("%s knows %d voters after a restart", c.pods[at].name, n)
		}
	}
	if told := c.shell(fourth, "get /kept\n"); !strings.Contains(told, "1") {
		t.Fatal(told)
	}

	// A lost volume. The leader is one that the first list does not have.
	if mode, err := c.probe(fourth, c.readiness()); err != nil || !strings.HasSuffix(mode, ": leader") {
		t.Fatalf("%s should lead, as the member with the largest number: %s", fourth.name, mode)
	}
	_ = c.end(first, syscall.SIGKILL)
	first.volume = t.TempDir()
	c.start(first)
	c.rollout()
	if n := c.voters(first); n != 4 {
		t.Fatalf("%d voters after the volume was lost", n)
	}

	// One less.
	remove := strings.Replace(documented(t, "reconfig -remove "), "-remove 5", "-remove 4", 1)
	c.shell(first, remove)
	if err := c.end(fourth, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.rollout()
	if n := c.voters(first); n != 3 {
		t.Fatalf("%d voters in the end", n)
	}
}

func TestWithoutTheSecretNobodyReconfigures(t *testing.T) {
	c := newCluster(t, 3)
	if err := os.Remove(filepath.Join(c.secret, "digest")); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.pods {
		c.start(p)
	}
	c.rollout()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	run := c.inside(ctx, c.pods[0], []string{"menagerie-tools", "shell", "reconfig", "-remove", "3"})
	out, err := run.CombinedOutput()
	if err == nil || c.voters(c.pods[0]) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
}
