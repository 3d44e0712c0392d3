package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

const patientWait = 40 * time.Second

// patientWriter raises a counter, appends entries and keeps an ephemeral node. It remembers what it
// was told.
type patientWriter struct {
	conn *zk.Conn
	root string
	// entries has the path of each that was sent, empty while nobody knows whether it is there.
	entries                                []string
	acknowledged, doubtful, settled        int
	before, checked, lastValue, lastNumber int
	session                                int64
	sessions                               int
	expired                                atomic.Bool
}

// isLost is an error that leaves open whether a write was done.
func isLost(err error) bool {
	return err == zk.ErrConnectionClosed || err == zk.ErrNoServer || err == zk.ErrSessionMoved
}

// patiently tries until there is an answer.
func patiently(work func() error) {
	for end := time.Now().Add(patientWait); ; time.Sleep(50 * time.Millisecond) {
		err := work()
		if !isLost(err) && err != zk.ErrSessionExpired {
			must(err)
			return
		}
		check(time.Now().Before(end), "no answer within %v: %v", patientWait, err)
	}
}

// patientConnect is a client that notices when its session expires.
func patientConnect(expired *atomic.Bool) *zk.Conn {
	var conn *zk.Conn
	var events <-chan zk.Event
	// It gives up when a single name is unknown, as that of a member without a network is.
	for end := time.Now().Add(patientWait); conn == nil; time.Sleep(50 * time.Millisecond) {
		var err error
		conn, events, err = zk.Connect(strings.Split(addr, ","), 20*time.Second, zk.WithLogger(quiet{}))
		check(err == nil || time.Now().Before(end), "no client within %v: %v", patientWait, err)
	}
	awaitState(events, zk.StateHasSession)
	go func() {
		for event := range events {
			if event.State == zk.StateExpired {
				expired.Store(true)
			}
		}
	}()
	return conn
}

func newPatientWriter() *patientWriter {
	w := &patientWriter{root: fmt.Sprintf("/patient-go-%d", time.Now().UnixNano()), lastNumber: -1}
	w.conn = patientConnect(&w.expired)
	_, err := w.conn.Create(w.root, []byte("0"), 0, open)
	must(err)
	_, err = w.conn.Create(w.root+"/log", nil, 0, open)
	must(err)
	w.own()
	return w
}

func (w *patientWriter) alive() string { return fmt.Sprintf("%s/alive-%x", w.root, w.session) }

// own makes the ephemeral node of a new session.
func (w *patientWriter) own() {
	w.session = w.conn.SessionID()
	w.sessions++
	patiently(func() error {
		_, err := w.conn.Create(w.alive(), nil, zk.FlagEphemeral, open)
		if err == zk.ErrNodeExists {
			return nil
		}
		return err
	})
}

// renew takes up work in a new session, after the old one has expired.
func (w *patientWriter) renew() {
	if !w.expired.Swap(false) {
		return
	}
	old := w.alive()
	patiently(func() error { _, err := w.conn.Sync(w.root); return err })
	check(w.conn.SessionID() != w.session, "the session has expired and goes on")
	w.own()
	patiently(func() error {
		exists, _, err := w.conn.Exists(old)
		check(err != nil || !exists, "%s outlived its session", old)
		return err
	})
}

func (w *patientWriter) sensible(data []byte, stat *zk.Stat) int {
	value, err := strconv.Atoi(string(data))
	must(err)
	check(value == int(stat.Version), "the counter is %d in version %d", value, stat.Version)
	check(w.acknowledged <= value && value <= w.acknowledged+w.doubtful,
		"the counter is %d, %d acknowledged, %d in doubt", value, w.acknowledged, w.doubtful)
	return value
}

// step is one write of the counter and one entry, each tried once.
func (w *patientWriter) step() {
	w.renew()
	data, stat, err := w.conn.Get(w.root)
	if err == nil {
		value := w.sensible(data, stat)
		check(value >= w.lastValue, "the counter went from %d back to %d", w.lastValue, value)
		w.lastValue = value
		_, err = w.conn.Set(w.root, []byte(strconv.Itoa(value+1)), stat.Version)
		switch err {
		case nil:
			w.acknowledged++
			w.settled = w.doubtful
		case zk.ErrBadVersion:
			check(w.doubtful > w.settled, "another version than %d, and no write was in doubt", stat.Version)
			err = nil
		default:
			w.doubtful++
		}
	}
	if err == nil {
		number := len(w.entries)
		w.entries = append(w.entries, "")
		w.entries[number], err = w.conn.Create(w.root+"/log/e-", []byte(strconv.Itoa(number)), zk.FlagSequence, open)
		if err != nil {
			w.entries[number] = ""
		}
	}
	if err == zk.ErrSessionExpired {
		w.expired.Store(true)
	} else if err != nil && !isLost(err) {
		must(err)
	}
}

// check compares all that was acknowledged with what is there.
func (w *patientWriter) check() string {
	for end := time.Now().Add(patientWait); w.acknowledged == w.before; w.step() {
		check(time.Now().Before(end), "no write was acknowledged since the last check")
	}
	w.renew()
	patiently(func() error { _, err := w.conn.Sync(w.root); return err })
	value := 0
	patiently(func() error {
		data, stat, err := w.conn.Get(w.root)
		if err == nil {
			value = w.sensible(data, stat)
		}
		return err
	})
	w.before = w.acknowledged
	w.checkEntries()
	patiently(func() error {
		exists, stat, err := w.conn.Exists(w.alive())
		if err == nil {
			check(exists, "the ephemeral node of the living session is gone")
			check(stat.EphemeralOwner == w.conn.SessionID(), "%x owns the node of session %x", stat.EphemeralOwner, w.conn.SessionID())
		}
		return err
	})
	return fmt.Sprintf("counter %d, %d acknowledged, %d in doubt, %d entries, sessions: %d",
		value, w.acknowledged, w.doubtful, len(w.entries), w.sessions)
}

func (w *patientWriter) checkEntries() {
	var names []string
	patiently(func() (err error) { names, _, err = w.conn.Children(w.root + "/log"); return })
	sort.Strings(names)
	there := make(map[string]bool)
	for _, name := range names {
		there[w.root+"/log/"+name] = true
	}
	for _, path := range w.entries {
		check(path == "" || there[path], "%s was acknowledged and is gone", path)
	}
	for _, name := range names[min(w.checked, len(names)):] {
		path := w.root + "/log/" + name
		var data []byte
		patiently(func() (err error) { data, _, err = w.conn.Get(path); return })
		number, err := strconv.Atoi(string(data))
		must(err)
		check(number > w.lastNumber && number < len(w.entries), "%s holds %d behind %d", path, number, w.lastNumber)
		known := w.entries[number]
		check(known == "" || known == path, "%s holds what went to %s", path, known)
		w.entries[number], w.lastNumber = path, number
	}
	w.checked = len(names)
}

// turns are taken by two clients under the library's lock.
type turns struct {
	root                           string
	inside, acknowledged, doubtful atomic.Int64
	expired                        [2]atomic.Bool
	mutex                          sync.Mutex
	conns                          [2]*zk.Conn
	sessions, twice                atomic.Int64
	broken                         atomic.Pointer[string]
	before                         int64
}

func newTurns(root string) *turns {
	t := &turns{root: root}
	for at := range t.conns {
		t.conns[at] = patientConnect(&t.expired[at])
	}
	_, err := t.conns[0].Create(root+"/turns", []byte("0"), 0, open)
	must(err)
	for at := range t.conns {
		go t.work(at)
	}
	return t
}

func (t *turns) work(at int) {
	for ; ; time.Sleep(30 * time.Millisecond) {
		conn := t.conn(at)
		lock := zk.NewLock(conn, t.root+"/lock", open)
		err := t.lock(conn, lock)
		if err == nil {
			if reason := t.turn(conn); reason != "" {
				t.broken.CompareAndSwap(nil, &reason)
			}
			err = lock.Unlock()
		}
		if err != nil {
			// The library leaves its node behind, which lasts as long as the session.
			t.reconnect(at, err == zk.ErrClosing)
		}
	}
}

// lockWait is longer than a turn of the other client takes when nothing fails.
const lockWait = 5 * time.Second

// lock waits for the lock.
//
// When a connection is lost while the library makes its node, it looks whether the node is there by a read
// without a sync. A server that is a little behind does not show it, the library makes another, and waits
// behind its own first one as long as the session lives, as does everybody else. Such a session is closed.
func (t *turns) lock(conn *zk.Conn, lock *zk.Lock) error {
	var mutex sync.Mutex
	over, hopeless := false, false
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(lockWait):
			}
			if mine, _ := t.waiting(conn); mine > 1 {
				mutex.Lock()
				hopeless = !over
				mutex.Unlock()
				if hopeless {
					conn.Close()
				}
				return
			}
		}
	}()
	err := lock.Lock()
	mutex.Lock()
	defer mutex.Unlock()
	over = true
	close(done)
	if hopeless {
		t.twice.Add(1)
		return zk.ErrClosing
	}
	return err
}

// waiting is how many nodes below the lock are those of the client's session, and whose each is.
func (t *turns) waiting(conn *zk.Conn) (mine int, owners string) {
	names, _, err := conn.Children(t.root + "/lock")
	if err != nil {
		return 0, err.Error()
	}
	sort.Strings(names)
	for _, name := range names {
		_, stat, err := conn.Exists(t.root + "/lock/" + name)
		if err != nil || stat.EphemeralOwner == 0 {
			continue
		}
		if stat.EphemeralOwner == conn.SessionID() {
			mine++
		}
		owners += fmt.Sprintf(" %s of %x", name, stat.EphemeralOwner)
	}
	return mine, fmt.Sprintf("%s; this is %x", owners, conn.SessionID())
}

// reconnect begins a new session instead of the one whose node may be in the way.
func (t *turns) reconnect(at int, closed bool) {
	t.sessions.Add(1)
	reason := attempt(func() {
		// Only a connected client can tell the server that its session is over.
		if !closed {
			attempt(func() { patiently(func() error { _, _, err := t.conn(at).Exists("/"); return err }) })
			t.conn(at).Close()
		}
		conn := patientConnect(&t.expired[at])
		t.mutex.Lock()
		defer t.mutex.Unlock()
		t.conns[at] = conn
	})
	if reason != "" {
		t.broken.CompareAndSwap(nil, &reason)
	}
}

func (t *turns) conn(at int) *zk.Conn {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.conns[at]
}

func (t *turns) turn(conn *zk.Conn) string {
	defer t.inside.Add(-1)
	// Whoever lost its session may still be inside when the next one comes.
	sure := !t.expired[0].Load() && !t.expired[1].Load()
	if t.inside.Add(1) != 1 && sure {
		return "two hold the lock"
	}
	data, stat, err := conn.Get(t.root + "/turns")
	if err != nil {
		return ""
	}
	value, err := strconv.Atoi(string(data))
	if err != nil {
		return err.Error()
	}
	t.doubtful.Add(1)
	_, err = conn.Set(t.root+"/turns", []byte(strconv.Itoa(value+1)), stat.Version)
	if err == nil {
		t.acknowledged.Add(1)
	}
	if err == nil || err == zk.ErrBadVersion {
		t.doubtful.Add(-1)
	}
	if err == zk.ErrBadVersion && sure && t.doubtful.Load() == 0 {
		return "somebody else wrote under the lock"
	}
	return ""
}

func (t *turns) check() string {
	if reason := t.broken.Load(); reason != nil {
		check(false, "%s", *reason)
	}
	for end := time.Now().Add(patientWait); t.acknowledged.Load() == t.before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			_, first := t.waiting(t.conn(0))
			_, second := t.waiting(t.conn(1))
			check(false, "nobody had the lock since the last check; waiting:%s; and:%s", first, second)
		}
	}
	acknowledged := t.acknowledged.Load()
	t.before = acknowledged
	patiently(func() error { _, err := t.conn(0).Sync(t.root + "/turns"); return err })
	patiently(func() error {
		data, stat, err := t.conn(0).Get(t.root + "/turns")
		if err != nil {
			return err
		}
		value, _ := strconv.ParseInt(string(data), 10, 64)
		// The others go on: what is read lies between what was there before and after.
		most := t.acknowledged.Load() + t.doubtful.Load() + 1
		check(acknowledged <= value && value <= most && value == int64(stat.Version),
			"%d turns in version %d, at least %d, at most %d", value, stat.Version, acknowledged, most)
		return nil
	})
	return fmt.Sprintf("%d turns under the lock in %d sessions, %d of them with two nodes",
		acknowledged, 2+t.sessions.Load(), t.twice.Load())
}

// attempt runs work; what is wrong, if anything is.
func attempt(work func()) (reason string) {
	defer func() {
		if caught := recover(); caught != nil {
			reason = fmt.Sprint(caught)
			if f, is := caught.(failure); is {
				reason = f.reason
			}
			reason = strings.ReplaceAll(reason, "\n", " ")
		}
	}()
	work()
	return ""
}

// patient is the Go client at work while servers and networks fail. A line `check NAME` on its standard
// input makes it compare what it was told with what is there; the end of the input ends it.
func patient() int {
	lines := make(chan string)
	go func() {
		input := bufio.NewScanner(os.Stdin)
		for input.Scan() {
			lines <- strings.TrimPrefix(input.Text(), "check ")
		}
		close(lines)
	}()
	var writer *patientWriter
	var shared *turns
	if reason := attempt(func() { writer = newPatientWriter(); shared = newTurns(writer.root) }); reason != "" {
		fmt.Println("FAIL start:", reason)
		return 1
	}
	fmt.Println("ready")
	passed, failed, broken := 0, 0, ""
	for {
		select {
		case name, more := <-lines:
			if !more {
				writer.conn.Close()
				fmt.Printf("%d passed, %d failed\n", passed, failed)
				return min(failed, 1)
			}
			said := ""
			reason := broken
			if reason == "" {
				reason = attempt(func() { said = writer.check() + "; " + shared.check() })
			}
			if reason != "" {
				failed++
				fmt.Printf("FAIL %s: %s\n", name, reason)
			} else {
				passed++
				fmt.Printf("ok %s: %s\n", name, said)
			}
		case <-time.After(20 * time.Millisecond):
			if reason := attempt(writer.step); reason != "" {
				broken = reason
			}
		}
	}
}
