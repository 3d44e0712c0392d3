// The official Go client against the server at ZK_ADDR: one line a test, then the totals.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

const patience = 15 * time.Second

var (
	addr = env("ZK_ADDR", "127.0.0.1:2181")
	root = fmt.Sprintf("/go-%d", time.Now().UnixNano())
	open = zk.WorldACL(zk.PermAll)
)

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

// failure ends a test; run turns it into a line.
type failure struct{ reason string }

func check(ok bool, format string, args ...interface{}) {
	if !ok {
		panic(failure{fmt.Sprintf(format, args...)})
	}
}

func must(err error) {
	check(err == nil, "unexpected error: %v", err)
}

func wants(expected, err error) {
	check(errors.Is(err, expected), "%v expected, got %v", expected, err)
}

func connect(timeout time.Duration) (*zk.Conn, <-chan zk.Event) {
	conn, events, err := zk.Connect([]string{addr}, timeout, zk.WithLogger(quiet{}))
	must(err)
	awaitState(events, zk.StateHasSession)
	return conn, events
}

func awaitState(events <-chan zk.Event, state zk.State) {
	end := time.After(patience)
	for {
		select {
		case event := <-events:
			if event.State == state {
				return
			}
		case <-end:
			check(false, "no %v within %v", state, patience)
		}
	}
}

func awaitEvent(events <-chan zk.Event, kind zk.EventType, path string) {
	select {
	case event := <-events:
		check(event.Type == kind && event.Path == path, "%v on %s expected, got %v on %s", kind, path, event.Type, event.Path)
	case <-time.After(patience):
		check(false, "no %v on %s within %v", kind, path, patience)
	}
}

func eventually(what string, condition func() bool) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return
		}
	}
	check(false, "not within %v: %s", patience, what)
}

func control(command string) {
	control := os.Getenv("ZK_CONTROL")
	check(control != "", "ZK_CONTROL is not set; the server cannot be restarted")
	conn, err := net.DialTimeout("tcp", control, 5*time.Second)
	must(err)
	defer conn.Close()
	must(conn.SetDeadline(time.Now().Add(60 * time.Second)))
	fmt.Fprintf(conn, "%s\n", command)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	must(err)
	check(strings.TrimSpace(answer) == "ok", "control answers %q", answer)
}

var counter int

func fresh(name string) string {
	counter++
	return fmt.Sprintf("%s/%s-%d", root, name, counter)
}

func nodesOfAllKinds() {
	conn, _ := connect(6 * time.Second)
	defer conn.Close()
	p := fresh("kinds")
	made, err := conn.Create(p, []byte("data"), 0, open)
	must(err)
	check(made == p, "created %s", made)
	data, stat, err := conn.Get(p)
	must(err)
	check(string(data) == "data" && stat.Version == 0 && stat.DataLength == 4, "got %q %+v", data, stat)
	check(stat.Czxid == stat.Mzxid && stat.Czxid == stat.Pzxid && stat.Ctime == stat.Mtime, "%+v", stat)
	e, err := conn.Create(p+"/e", nil, zk.FlagEphemeral, open)
	must(err)
	_, stat, err = conn.Exists(e)
	must(err)
	check(stat.EphemeralOwner == conn.SessionID(), "owner %x", stat.EphemeralOwner)
	for i := 1; i <= 3; i++ {
		made, err := conn.Create(p+"/s-", nil, zk.FlagSequence, open)
		must(err)
		check(made == fmt.Sprintf("%s/s-%010d", p, i), "sequence %s", made)
	}
	_, err = conn.Create(e+"/child", nil, 0, open)
	wants(zk.ErrNoChildrenForEphemerals, err)
	children, stat, err := conn.Children(p)
	must(err)
	check(len(children) == 4 && stat.NumChildren == 4 && stat.Cversion == 4, "%v %+v", children, stat)
	container, err := conn.CreateContainer(fresh("container"), []byte("c"), 4, open)
	must(err)
	_, stat, err = conn.Exists(container)
	must(err)
	check(stat.EphemeralOwner == 0, "container owner %x", stat.EphemeralOwner)
	ttl, err := conn.CreateTTL(fresh("ttl"), []byte("t"), zk.FlagTTL, open, time.Hour)
	must(err)
	data, _, err = conn.Get(ttl)
	must(err)
	check(string(data) == "t", "ttl data %q", data)
	protected, err := conn.CreateProtectedEphemeralSequential(p+"/lock-", nil, open)
	must(err)
	check(strings.Contains(protected, "_c_") && strings.HasSuffix(protected, "0000000004"), "protected %s", protected)
}

func versionsAndErrors() {
	conn, _ := connect(6 * time.Second)
	defer conn.Close()
	p := fresh("errors")
	_, _, err := conn.Get(p)
	wants(zk.ErrNoNode, err)
	_, err = conn.Create(p+"/a", nil, 0, open)
	wants(zk.ErrNoNode, err)
	_, err = conn.Create(p, []byte("0"), 0, open)
	must(err)
	_, err = conn.Create(p, nil, 0, open)
	wants(zk.ErrNodeExists, err)
	stat, err := conn.Set(p, []byte("1"), 0)
	must(err)
	check(stat.Version == 1, "version %d", stat.Version)
	_, err = conn.Set(p, []byte("2"), 0)
	wants(zk.ErrBadVersion, err)
	wants(zk.ErrBadVersion, conn.Delete(p, 9))
	_, err = conn.Create(p+"/c", nil, 0, open)
	must(err)
	wants(zk.ErrNotEmpty, conn.Delete(p, -1))
	must(conn.Delete(p+"/c", 0))
	must(conn.Delete(p, -1))
	exists, _, err := conn.Exists(p)
	must(err)
	check(!exists, "still there")
	_, err = conn.Create(p, nil, 0, nil)
	wants(zk.ErrInvalidACL, err)
	_, err = conn.Sync(root)
	must(err)
}

func largeData() {
	conn, _ := connect(6 * time.Second)
	defer conn.Close()
	blob := bytes.Repeat([]byte("0123456789"), 100_000)
	p, err := conn.Create(fresh("large"), blob, 0, open)
	must(err)
	data, _, err := conn.Get(p)
	must(err)
	check(bytes.Equal(data, blob), "%d bytes came back", len(data))
}

func watches() {
	conn, _ := connect(6 * time.Second)
	defer conn.Close()
	p := fresh("watch")
	exists, _, created, err := conn.ExistsW(p)
	must(err)
	check(!exists, "exists already")
	_, err = conn.Create(p, nil, 0, open)
	must(err)
	awaitEvent(created, zk.EventNodeCreated, p)
	_, _, changed, err := conn.GetW(p)
	must(err)
	_, err = conn.Set(p, []byte("1"), -1)
	must(err)
	awaitEvent(changed, zk.EventNodeDataChanged, p)
	_, _, child, err := conn.ChildrenW(p)
	must(err)
	_, err = conn.Create(p+"/c", nil, 0, open)
	must(err)
	awaitEvent(child, zk.EventNodeChildrenChanged, p)
	must(conn.Delete(p+"/c", -1))
	_, _, deleted, err := conn.GetW(p)
	must(err)
	_, _, childless, err := conn.ChildrenW(p)
	must(err)
	must(conn.Delete(p, -1))
	awaitEvent(deleted, zk.EventNodeDeleted, p)
	awaitEvent(childless, zk.EventNodeDeleted, p)
}

func acls() {
	owner, _ := connect(6 * time.Second)
	defer owner.Close()
	other, _ := connect(6 * time.Second)
	defer other.Close()
	must(owner.AddAuth("digest", []byte("joe:secret")))
	p, err := owner.Create(fresh("acl"), []byte("private"), 0, zk.DigestACL(zk.PermAll, "joe", "secret"))
	must(err)
	_, _, err = other.Get(p)
	wants(zk.ErrNoAuth, err)
	_, err = other.Set(p, nil, -1)
	wants(zk.ErrNoAuth, err)
	must(other.AddAuth("digest", []byte("joe:secret")))
	data, _, err := other.Get(p)
	must(err)
	check(string(data) == "private", "%q", data)
	stat, err := owner.SetACL(p, zk.WorldACL(zk.PermRead), 0)
	must(err)
	check(stat.Aversion == 1, "aversion %d", stat.Aversion)
	_, err = owner.Set(p, nil, -1)
	wants(zk.ErrNoAuth, err)
	acl, _, err := owner.GetACL(p)
	must(err)
	check(len(acl) == 1 && acl[0].Scheme == "world" && acl[0].Perms == zk.PermRead, "%v", acl)
}

func multi() {
	conn, _ := connect(6 * time.Second)
	defer conn.Close()
	p := fresh("multi")
	results, err := conn.Multi(
		&zk.CreateRequest{Path: p, Data: []byte("0"), Acl: open},
		&zk.SetDataRequest{Path: p, Data: []byte("1"), Version: 0},
		&zk.CheckVersionRequest{Path: p, Version: 1},
		&zk.CreateRequest{Path: p + "/s-", Acl: open, Flags: zk.FlagSequence},
		&zk.DeleteRequest{Path: p + "/s-0000000000", Version: -1})
	must(err)
	check(len(results) == 5 && results[0].String == p && results[1].Stat.Version == 1, "%+v", results)
	results, err = conn.Multi(
		&zk.SetDataRequest{Path: p, Data: []byte("2"), Version: -1},
		&zk.DeleteRequest{Path: p + "/nowhere", Version: -1})
	wants(zk.ErrNoNode, err)
	check(len(results) == 2 && results[0].Error == nil && results[1].Error == zk.ErrNoNode, "%+v", results)
	data, _, err := conn.Get(p)
	must(err)
	check(string(data) == "1", "a failed multi left %q", data)
}

func reconfigIsRefused() {
	conn, _ := connect(6 * time.Second)
	defer conn.Close()
	_, err := conn.IncrementalReconfig([]string{"server.2=localhost:2888:3888;2181"}, nil, -1)
	check(err != nil, "a standalone server cannot be reconfigured")
	_, err = conn.Create(fresh("after-refusal"), nil, 0, open)
	must(err)
}

func locks() {
	a, _ := connect(6 * time.Second)
	defer a.Close()
	b, _ := connect(6 * time.Second)
	defer b.Close()
	p := fresh("lock")
	first, second := zk.NewLock(a, p, open), zk.NewLock(b, p, open)
	must(first.Lock())
	held := make(chan error, 1)
	go func() { held <- second.Lock() }()
	select {
	case <-held:
		check(false, "two hold the lock")
	case <-time.After(300 * time.Millisecond):
	}
	must(first.Unlock())
	select {
	case err := <-held:
		must(err)
	case <-time.After(patience):
		check(false, "the lock was not handed over")
	}
	must(second.Unlock())
}

func closingDeletesEphemerals() {
	watcher, _ := connect(6 * time.Second)
	defer watcher.Close()
	conn, _ := connect(6 * time.Second)
	p, err := conn.Create(fresh("ephemeral"), nil, zk.FlagEphemeral, open)
	must(err)
	exists, _, gone, err := watcher.ExistsW(p)
	must(err)
	check(exists, "not there")
	conn.Close()
	awaitEvent(gone, zk.EventNodeDeleted, p)
}

func fourLetterWords() {
	ok := zk.FLWRuok([]string{addr}, 5*time.Second)
	check(len(ok) == 1 && ok[0], "ruok %v", ok)
	// FLWSrvr and FLWCons know only the formats of ZooKeeper 3.4 and fail against Apache 3.9 too.
	text := word("srvr")
	check(strings.HasPrefix(text, "Zookeeper version: 3.9."), "srvr %q", text)
	modes := []string{"standalone"}
	if os.Getenv("ZK_ENSEMBLE") != "" {
		modes = []string{"leader", "follower"}
	}
	known := false
	for _, mode := range modes {
		known = known || strings.Contains(text, "\nMode: "+mode+"\nNode count: ")
	}
	check(known, "srvr %q", text)
	conn, _ := connect(6 * time.Second)
	defer conn.Close()
	_, _, err := conn.Get("/")
	must(err)
	text = word("cons")
	check(strings.Contains(text, fmt.Sprintf(",sid=0x%x,lop=GETD,", conn.SessionID())), "cons %q", text)
}

func word(name string) string {
	raw, err := net.DialTimeout("tcp", addr, 5*time.Second)
	must(err)
	defer raw.Close()
	fmt.Fprint(raw, name)
	text, err := io.ReadAll(raw)
	must(err)
	return string(text)
}

func restart(command string) {
	conn, events := connect(20 * time.Second)
	defer conn.Close()
	p, err := conn.Create(fresh("restart"), []byte("kept"), 0, open)
	must(err)
	e, err := conn.Create(p+"/e", nil, zk.FlagEphemeral, open)
	must(err)
	_, _, changed, err := conn.GetW(p)
	must(err)
	session := conn.SessionID()
	control(command)
	awaitState(events, zk.StateHasSession)
	check(conn.SessionID() == session, "session %x became %x", session, conn.SessionID())
	exists, stat, err := conn.Exists(e)
	must(err)
	check(exists && stat.EphemeralOwner == session, "the ephemeral node is gone")
	_, err = conn.Set(p, []byte("changed"), -1)
	must(err)
	awaitEvent(changed, zk.EventNodeDataChanged, p)
}

func manyClients() {
	p, n := fresh("crowd"), 50
	first, _ := connect(10 * time.Second)
	defer first.Close()
	_, err := first.Create(p, nil, 0, open)
	must(err)
	failures := make(chan error, n)
	for i := 0; i < n; i++ {
		go func() {
			conn, _, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogger(quiet{}))
			if err == nil {
				defer conn.Close()
				_, err = conn.Create(p+"/n-", nil, zk.FlagSequence, open)
			}
			failures <- err
		}()
	}
	for i := 0; i < n; i++ {
		must(<-failures)
	}
	children, _, err := first.Children(p)
	must(err)
	sort.Strings(children)
	check(len(children) == n && children[n-1] == fmt.Sprintf("n-%010d", n-1), "%v", children)
}

func run(name string, body func()) (ok bool) {
	defer func() {
		if reason := recover(); reason != nil {
			text := fmt.Sprint(reason)
			if f, is := reason.(failure); is {
				text = f.reason
			}
			fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(text, "\n", " "))
			ok = false
		}
	}()
	body()
	fmt.Printf("ok %s\n", name)
	return true
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "steady" {
		os.Exit(steady())
	}
	if len(os.Args) > 1 && os.Args[1] == "patient" {
		os.Exit(patient())
	}
	if len(os.Args) > 1 && os.Args[1] == "history" {
		os.Exit(history())
	}
	if len(os.Args) == 5 && os.Args[1] == "secured" {
		os.Exit(secured(os.Args[2], os.Args[3], os.Args[4]))
	}
	tests := []struct {
		name string
		body func()
	}{
		{"nodes_of_all_kinds", nodesOfAllKinds},
		{"versions_and_errors", versionsAndErrors},
		{"large_data", largeData},
		{"watches", watches},
		{"acls", acls},
		{"multi", multi},
		{"reconfig_is_refused", reconfigIsRefused},
		{"locks", locks},
		{"closing_deletes_ephemerals", closingDeletesEphemerals},
		{"four_letter_words", fourLetterWords},
		{"many_clients", manyClients},
		{"a_restart_keeps_session_ephemerals_and_watches", func() { restart("restart") }},
		{"a_kill_keeps_session_ephemerals_and_watches", func() { restart("kill") }},
	}
	passed, failed := 0, 0
	prepared := run("prepare", func() {
		conn, _ := connect(6 * time.Second)
		defer conn.Close()
		_, err := conn.Create(root, nil, 0, open)
		must(err)
	})
	if prepared {
		passed++
	} else {
		failed++
	}
	for _, test := range tests {
		if run(test.name, test.body) {
			passed++
		} else {
			failed++
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
