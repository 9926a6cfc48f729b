// What Go programs do with RocketMQ's own client, one part a run. Prints a line a check; any failure ends it with 1.
package main

import (
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

var server string

func main() {
	rlog.SetLogLevel("error")
	server = os.Args[1]
	parts := map[string]func(){
		"concurrent":   concurrent,
		"orderly":      orderly,
		"delayed":      delayed,
		"transactions": transactions,
		"selectors":    selectors,
		"dead":         dead,
		"broadcast":    broadcast,
		"pull":         pull,
		"requests":     requests,
		"topics":       topics,
	}
	part := parts[os.Args[2]]
	check(part != nil, "no such part: %s", os.Args[2])
	part()
}

func say(line string) {
	fmt.Println(line)
}

func check(holds bool, format string, arguments ...interface{}) {
	if !holds {
		fmt.Fprintf(os.Stderr, format+"\n", arguments...)
		os.Exit(1)
	}
}

func must(err error, what string) {
	check(err == nil, "%s: %v", what, err)
}

func eventually(seconds int, what string, holds func() bool) {
	for end := time.Now().Add(time.Duration(seconds) * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		check(time.Now().Before(end), "not within %d s: %s", seconds, what)
	}
}

func servers() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{server})
}

// Of the environment, if there are some.
func credentials() primitive.Credentials {
	return primitive.Credentials{AccessKey: os.Getenv("ROCKETMQ_ACCESS_KEY"), SecretKey: os.Getenv("ROCKETMQ_SECRET_KEY")}
}

// The client keeps one connection for each instance, and looks routes up by it.
func newProducer(group string, options ...producer.Option) rocketmq.Producer {
	options = append(options, producer.WithNsResolver(servers()), producer.WithGroupName(group), producer.WithInstanceName(group),
		producer.WithCredentials(credentials()))
	made, err := rocketmq.NewProducer(options...)
	must(err, "producer "+group)
	must(made.Start(), "start of producer "+group)
	return made
}

func newPusher(group, instance string, options ...consumer.Option) rocketmq.PushConsumer {
	options = append([]consumer.Option{
		consumer.WithNsResolver(servers()), consumer.WithGroupName(group), consumer.WithInstance(instance),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset), consumer.WithCredentials(credentials()),
	}, options...)
	made, err := rocketmq.NewPushConsumer(options...)
	must(err, "consumer "+group)
	return made
}

func message(topic, tag, body string) *primitive.Message {
	return primitive.NewMessage(topic, []byte(body)).WithTag(tag).WithKeys([]string{"key-" + body, "all"})
}

// What came, by its body; also how often.
type bag struct {
	mutex    sync.Mutex
	messages []*primitive.MessageExt
	times    []time.Time
}

func (b *bag) add(messages ...*primitive.MessageExt) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, each := range messages {
		b.messages = append(b.messages, each)
		b.times = append(b.times, time.Now())
	}
}

func (b *bag) bodies() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	var bodies []string
	for _, each := range b.messages {
		bodies = append(bodies, string(each.Body))
	}
	sort.Strings(bodies)
	return bodies
}

// Waits for exactly these, and that nothing follows.
func (b *bag) expect(seconds int, what string, bodies []string) {
	sort.Strings(bodies)
	eventually(seconds, fmt.Sprintf("%s: %d messages", what, len(bodies)), func() bool { return len(b.bodies()) >= len(bodies) })
	time.Sleep(500 * time.Millisecond)
	check(fmt.Sprint(b.bodies()) == fmt.Sprint(bodies), "%s: %v instead of %v", what, b.bodies(), bodies)
}
