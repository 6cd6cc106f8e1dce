// An extension that does nothing, in Go with its standard library: the skeleton that most compiled
// extensions begin with.
package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension/"
	client := &http.Client{}
	body, _ := json.Marshal(map[string][]string{"events": {"INVOKE", "SHUTDOWN"}})
	request, _ := http.NewRequest("POST", base+"register", bytes.NewReader(body))
	request.Header.Set("Lambda-Extension-Name", filepath.Base(os.Args[0]))
	answer, err := client.Do(request)
	// AWS's Runtime Interface Emulator may start an extension a moment before it listens.
	for left := 500; err != nil; left-- {
		if left == 0 {
			os.Exit(1)
		}
		time.Sleep(2 * time.Millisecond)
		request.Body, _ = request.GetBody()
		answer, err = client.Do(request)
	}
	var registered map[string]any
	json.NewDecoder(answer.Body).Decode(&registered)
	answer.Body.Close()
	identifier := answer.Header.Get("Lambda-Extension-Identifier")
	for {
		request, _ := http.NewRequest("GET", base+"event/next", nil)
		request.Header.Set("Lambda-Extension-Identifier", identifier)
		answer, err := client.Do(request)
		if err != nil {
			os.Exit(1)
		}
		var event struct {
			EventType string `json:"eventType"`
		}
		json.NewDecoder(answer.Body).Decode(&event)
		answer.Body.Close()
		if event.EventType == "SHUTDOWN" {
			return
		}
	}
}
