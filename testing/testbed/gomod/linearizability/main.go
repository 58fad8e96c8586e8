// Checks a recorded history of etcd KV requests for linearizability.
//
//	linearizability HISTORY.jsonl
//
// Every line is one operation; see line in model.go. Exit codes: 0 the history is linearizable,
// 1 it is not (a picture is written to HISTORY.jsonl.html), 2 it cannot be said.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

const limit = 5 * time.Minute

func main() {
	if len(os.Args) != 2 {
		fail("give one file, a history")
	}
	history, open, err := read(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	started := time.Now()
	result := porcupine.CheckOperationsTimeout(model, history, limit)
	took := time.Since(started).Round(time.Millisecond)
	about := fmt.Sprintf("%d operations, %d of them of unknown outcome, %v", len(history), open, took)
	switch result {
	case porcupine.Ok:
		fmt.Println("linearizable:", about)
	case porcupine.Illegal:
		picture := os.Args[1] + ".html"
		fmt.Printf("NOT linearizable: %s; see %s\n", about, picture)
		_, info := porcupine.CheckOperationsVerbose(model, history, limit)
		if err := porcupine.VisualizePath(model, info, picture); err != nil {
			fmt.Println("no picture:", err)
		}
		os.Exit(1)
	default:
		fail("not decided in time: " + about)
	}
}

func fail(reason string) {
	fmt.Fprintln(os.Stderr, "error:", reason)
	os.Exit(2)
}

// read gives the operations, and how many of them were not answered.
func read(path string) ([]porcupine.Operation, int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	var history []porcupine.Operation
	open := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", len(history)+1, err)
		}
		if err := l.check(); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", len(history)+1, err)
		}
		returned := int64(math.MaxInt64)
		if l.Returned != nil {
			returned = *l.Returned
		} else {
			open++
		}
		history = append(history, porcupine.Operation{
			ClientId: l.Client, Input: l.Request, Call: l.Called, Output: l.Answer, Return: returned,
		})
	}
	return history, open, lines.Err()
}
