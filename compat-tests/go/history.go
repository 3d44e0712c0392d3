package main

import (
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/go-zookeeper/zk"
)

const (
	historyClients   = 6
	historyRegisters = 4
	// historyTimeout is what porcupine may take.
	historyTimeout = 40 * time.Second
)

type kind int

const (
	write kind = iota
	swap
	read
)

// input is what a client asks for.
type input struct {
	register int
	kind     kind
	value    int
	// version that a swap expects.
	version int32
}

// output is what it was told.
type output struct {
	value   int
	version int32
	// refused is a swap that found another version.
	refused bool
	// unknown is a write of which nobody knows whether it was done.
	unknown bool
}

// register is a znode: its data and its version, which counts its writes.
type register struct {
	value   int
	version int32
}

var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, historyRegisters)
		for _, operation := range history {
			at := operation.Input.(input).register
			parts[at] = append(parts[at], operation)
		}
		return parts
	},
	Init: func() interface{} { return register{} },
	Step: func(state, in, out interface{}) (bool, interface{}) {
		before, asked, told := state.(register), in.(input), out.(output)
		after := register{asked.value, before.version + 1}
		switch {
		case asked.kind == read:
			return told.value == before.value && told.version == before.version, before
		case asked.kind == swap && before.version != asked.version:
			return told.refused || told.unknown, before
		case told.unknown:
			return true, after
		default:
			return !told.refused && told.version == after.version, after
		}
	},
	DescribeOperation: func(in, out interface{}) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// history lets clients write, compare and swap, and read behind a sync, until its standard input
// ends, and has porcupine judge whether what they saw is linearizable.
func history() int {
	var stop atomic.Bool
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	root := fmt.Sprintf("/history-%d", time.Now().UnixNano())
	servers := strings.Split(addr, ",")
	conn, _, err := zk.Connect(servers, 20*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		fmt.Println("FAIL history:", err)
		return 1
	}
	defer conn.Close()
	for at := -1; at < historyRegisters; at++ {
		path := root
		if at >= 0 {
			path = fmt.Sprintf("%s/%d", root, at)
		}
		if _, err := conn.Create(path, []byte("0"), 0, open); err != nil {
			fmt.Println("FAIL history:", err)
			return 1
		}
	}
	fmt.Println("at work")
	var mutex sync.Mutex
	var operations []porcupine.Operation
	var names, values, unknown atomic.Int64
	var workers sync.WaitGroup
	begun := time.Now()
	for worker := 0; worker < historyClients; worker++ {
		workers.Add(1)
		go func(worker int) {
			defer workers.Done()
			// Each begins with another server.
			order := append(append([]string{}, servers[worker%len(servers):]...), servers[:worker%len(servers)]...)
			conn, _, err := zk.Connect(order, 20*time.Second, zk.WithLogger(quiet{}))
			if err != nil {
				return
			}
			defer conn.Close()
			random := rand.New(rand.NewSource(int64(worker)))
			name := int(names.Add(1))
			versions := make([]int32, historyRegisters)
			for !stop.Load() {
				asked := input{register: random.Intn(historyRegisters), kind: kind(random.Intn(3))}
				asked.value, asked.version = int(values.Add(1)), versions[asked.register]
				path := fmt.Sprintf("%s/%d", root, asked.register)
				call := time.Since(begun).Nanoseconds()
				told, err := ask(conn, path, asked)
				end := time.Since(begun).Nanoseconds()
				if err != nil && asked.kind == read {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				if err != nil {
					told, end = output{unknown: true}, math.MaxInt64
					unknown.Add(1)
				} else if !told.refused {
					versions[asked.register] = told.version
				} else if _, stat, err := conn.Get(path); err == nil {
					versions[asked.register] = stat.Version
				}
				mutex.Lock()
				operations = append(operations, porcupine.Operation{
					ClientId: name, Input: asked, Call: call, Output: told, Return: end,
				})
				mutex.Unlock()
				if told.unknown {
					// To porcupine a client has one operation at a time.
					name = int(names.Add(1))
				}
				time.Sleep(time.Duration(1+random.Intn(6)) * time.Millisecond)
			}
		}(worker)
	}
	workers.Wait()
	result, info := porcupine.CheckOperationsVerbose(registers, operations, historyTimeout)
	text := fmt.Sprintf("history: %d operations, %d of them in doubt", len(operations), unknown.Load())
	if result == porcupine.Ok && len(operations) > 100 {
		fmt.Println("ok", text+", linearizable")
		return 0
	}
	if file, err := os.CreateTemp("", "history-*.html"); err == nil {
		defer file.Close()
		if porcupine.Visualize(registers, info, file) == nil {
			text += ", drawn in " + file.Name()
		}
	}
	fmt.Println("FAIL", text+", judged", result)
	return 1
}

// ask does one operation; an error leaves open whether it was done.
func ask(conn *zk.Conn, path string, asked input) (output, error) {
	if asked.kind == read {
		if _, err := conn.Sync(path); err != nil {
			return output{}, err
		}
		data, stat, err := conn.Get(path)
		if err != nil {
			return output{}, err
		}
		value, err := strconv.Atoi(string(data))
		return output{value: value, version: stat.Version}, err
	}
	version := int32(-1)
	if asked.kind == swap {
		version = asked.version
	}
	stat, err := conn.Set(path, []byte(strconv.Itoa(asked.value)), version)
	if err == zk.ErrBadVersion {
		return output{refused: true}, nil
	}
	if err != nil {
		return output{}, err
	}
	return output{version: stat.Version}, nil
}
