// Answers whether texts match patterns by Go's regexp, which is what the API server uses: JSON in, one line of 0 and 1 a pattern out.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

type question struct {
	Pattern string   `json:"pattern"`
	Texts   []string `json:"texts"`
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, asked := range questions {
		expression, err := regexp.Compile(asked.Pattern)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answer := make([]byte, len(asked.Texts))
		for i, text := range asked.Texts {
			answer[i] = '0'
			if expression.MatchString(text) {
				answer[i] = '1'
			}
		}
		fmt.Println(string(answer))
	}
}
