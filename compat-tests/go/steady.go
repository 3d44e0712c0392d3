package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// steady is the Go client at work while servers come and go: it raises a counter until its standard
// input ends; the first time it says so. Then the counter must be what was acknowledged, or at most
// more by what was in doubt, and no session may have expired.
func steady() int {
	var stop, expired atomic.Bool
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	conn, events, err := zk.Connect(strings.Split(addr, ","), 20*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		fmt.Println("FAIL go:", err)
		return 1
	}
	go func() {
		for event := range events {
			if event.State == zk.StateExpired {
				expired.Store(true)
			}
		}
	}()
	path := fmt.Sprintf("/steady-go-%d", time.Now().UnixNano())
	if _, err := conn.Create(path, []byte("0"), 0, open); err != nil {
		fmt.Println("FAIL go:", err)
		return 1
	}
	acknowledged, doubtful := 0, 0
	for !stop.Load() {
		data, stat, err := conn.Get(path)
		if err == nil {
			value, _ := strconv.Atoi(string(data))
			_, err = conn.Set(path, []byte(strconv.Itoa(value+1)), stat.Version)
			if err == nil {
				acknowledged++
				if acknowledged == 1 {
					fmt.Println("at work")
				}
			} else if err != zk.ErrBadVersion {
				doubtful++
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	value := -1
	for attempt := 0; attempt < 100 && value < 0; attempt++ {
		if data, _, err := conn.Get(path); err == nil {
			value, _ = strconv.Atoi(string(data))
		} else {
			time.Sleep(100 * time.Millisecond)
		}
	}
	conn.Close()
	good := acknowledged > 0 && acknowledged <= value && value <= acknowledged+doubtful && !expired.Load()
	word := "FAIL"
	if good {
		word = "ok"
	}
	fmt.Printf("%s go: counter %d, %d acknowledged, %d in doubt, session expired: %v\n",
		word, value, acknowledged, doubtful, expired.Load())
	if good {
		return 0
	}
	return 1
}
