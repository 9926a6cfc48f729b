package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func concurrent() {
	const topic = "go-normal"
	sender := newProducer("go-senders")
	var expected []string
	for i := 0; i < 10; i++ {
		for _, tag := range []string{"a", "b", "c"} {
			one := message(topic, tag, tag+strconv.Itoa(i))
			one.WithProperty("number", strconv.Itoa(i))
			result, err := sender.SendSync(context.Background(), one)
			must(err, "sync")
			check(result.Status == primitive.SendOK && result.OffsetMsgID != "", "sync: %v", result)
			if tag != "c" {
				expected = append(expected, tag+strconv.Itoa(i))
			}
		}
	}
	for i := 0; i < 5; i++ {
		must(sender.SendOneWay(context.Background(), message(topic, "a", "oneway"+strconv.Itoa(i))), "one-way")
		expected = append(expected, "oneway"+strconv.Itoa(i))
	}
	var answers sync.WaitGroup
	for i := 0; i < 20; i++ {
		answers.Add(1)
		must(sender.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			must(err, "answer to an async send")
			check(result.Status == primitive.SendOK, "async: %v", result)
			answers.Done()
		}, message(topic, "b", "async"+strconv.Itoa(i))), "async")
		expected = append(expected, "async"+strconv.Itoa(i))
	}
	answers.Wait()
	var batch []*primitive.Message
	for i := 0; i < 10; i++ {
		batch = append(batch, message(topic, "a", "batch"+strconv.Itoa(i)))
		expected = append(expected, "batch"+strconv.Itoa(i))
	}
	result, err := sender.SendSync(context.Background(), batch...)
	must(err, "batch")
	check(len(strings.Split(result.OffsetMsgID, ",")) == 10, "ids of a batch: %v", result)
	large := primitive.NewMessage(topic, bytes.Repeat([]byte("large "), 100_000)).WithTag("a")
	large.Flag = 7
	_, err = sender.SendSync(context.Background(), large)
	must(err, "large")
	say("sent")

	var came bag
	var whole, again int32
	reader := newPusher("go-group", "go-group")
	must(reader.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "a || b"},
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, each := range messages {
				if len(each.Body) > 1000 {
					check(bytes.Equal(each.Body, large.Body) && each.Flag == 7, "the large one is another: %d", len(each.Body))
					atomic.AddInt32(&whole, 1)
					continue
				}
				if string(each.Body) == "a3" {
					if each.ReconsumeTimes == 0 {
						concurrently, _ := primitive.GetConcurrentlyCtx(ctx)
						concurrently.DelayLevelWhenNextConsume = 1
						return consumer.ConsumeRetryLater, nil
					}
					check(each.Topic == topic && each.GetTags() == "a" && each.GetKeys() == "key-a3 all", "again: %v", each)
					check(each.GetProperty("number") == "3" && each.ReconsumeTimes == 1, "again: %v", each)
					atomic.AddInt32(&again, 1)
				}
				came.add(each)
			}
			return consumer.ConsumeSuccess, nil
		}), "subscribe")
	must(reader.Start(), "start")
	came.expect(60, "by tags", expected)
	eventually(30, "the large one, and one again", func() bool { return atomic.LoadInt32(&whole) == 1 && atomic.LoadInt32(&again) == 1 })
	say("consumed by tags, one again")
	must(reader.Shutdown(), "shutdown")
	must(sender.Shutdown(), "shutdown")
}

func orderly() {
	const topic, keys, each = "go-ordered", 6, 40
	sender := newProducer("go-ordered-senders", producer.WithQueueSelector(producer.NewHashQueueSelector()))
	for i := 0; i < each; i++ {
		for key := 0; key < keys; key++ {
			one := message(topic, "t", fmt.Sprintf("%d:%d", key, i)).WithShardingKey("key" + strconv.Itoa(key))
			_, err := sender.SendSync(context.Background(), one)
			must(err, "ordered")
		}
	}
	var mutex sync.Mutex
	came := map[string][]int{}
	total, failures := 0, 0
	reader := newPusher("go-ordered-group", "go-ordered-group", consumer.WithConsumerOrder(true),
		consumer.WithSuspendCurrentQueueTimeMillis(100*time.Millisecond))
	must(reader.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			mutex.Lock()
			defer mutex.Unlock()
			for _, one := range messages {
				parts := strings.Split(string(one.Body), ":")
				number, err := strconv.Atoi(parts[1])
				must(err, "number")
				check(one.GetShardingKey() == "key"+parts[0], "sharding key: %v", one)
				if parts[0] == "2" && number == 5 && failures < 2 {
					failures++
					return consumer.SuspendCurrentQueueAMoment, nil
				}
				came[parts[0]] = append(came[parts[0]], number)
				total++
			}
			return consumer.ConsumeSuccess, nil
		}), "subscribe")
	must(reader.Start(), "start")
	eventually(60, "all in order", func() bool { mutex.Lock(); defer mutex.Unlock(); return total >= keys*each })
	mutex.Lock()
	defer mutex.Unlock()
	check(total == keys*each && failures == 2, "%d messages, %d failures", total, failures)
	for key, numbers := range came {
		for i, number := range numbers {
			check(i == number, "key %s: %v", key, numbers)
		}
	}
	say("consumed in order")
}

func delayed() {
	const topic = "go-delayed"
	sender := newProducer("go-delayed-senders")
	_, err := sender.SendSync(context.Background(), message(topic, "t", "now"))
	must(err, "now")
	var came bag
	reader := newPusher("go-delayed-group", "go-delayed-group")
	must(reader.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			came.add(messages...)
			return consumer.ConsumeSuccess, nil
		}), "subscribe")
	must(reader.Start(), "start")
	came.expect(60, "at once", []string{"now"})
	due := map[string]time.Time{"now": {}}
	_, err = sender.SendSync(context.Background(), message(topic, "t", "level").WithDelayTimeLevel(2))
	must(err, "by level")
	due["level"] = time.Now().Add(5*time.Second - 100*time.Millisecond)
	at := time.Now().Add(4 * time.Second)
	_, err = sender.SendSync(context.Background(), message(topic, "t", "at").WithDelayTimestamp(at))
	must(err, "at a time")
	due["at"] = at.Truncate(time.Millisecond)
	came.expect(30, "delayed", []string{"now", "level", "at"})
	for i, each := range came.messages {
		early := due[string(each.Body)].Sub(came.times[i])
		check(early <= 0, "%s is early by %v", each.Body, early)
		check(string(each.Body) == "now" || early > -5*time.Second, "%s is late by %v", each.Body, -early)
	}
	say("none early")
	must(reader.Shutdown(), "shutdown")
	must(sender.Shutdown(), "shutdown")
}

func selectors() {
	const topic = "go-selected"
	sender := newProducer("go-selected-senders")
	for i := 0; i < 20; i++ {
		one := message(topic, "t"+strconv.Itoa(i%2), "message "+strconv.Itoa(i))
		one.WithProperty("amount", strconv.Itoa(i*10))
		if i%5 == 0 {
			one.WithProperty("region", "eu")
		}
		_, err := sender.SendSync(context.Background(), one)
		must(err, "send")
	}
	for name, selected := range map[string]struct {
		expression string
		numbers    []int
	}{
		"go-amounts": {"amount BETWEEN 90 AND 120", []int{9, 10, 11, 12}},
		"go-regions": {"region IN ('eu', 'us') AND amount > 100 OR TAGS = 't1' AND amount < 20", []int{1, 15}},
		"go-nowhere": {"region IS NULL AND NOT (amount < 170)", []int{17, 18, 19}},
	} {
		var came bag
		reader := newPusher(name, name)
		must(reader.Subscribe(topic, consumer.MessageSelector{Type: consumer.SQL92, Expression: selected.expression},
			func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
				came.add(messages...)
				return consumer.ConsumeSuccess, nil
			}), "subscribe")
		must(reader.Start(), "start")
		var expected []string
		for _, number := range selected.numbers {
			expected = append(expected, "message "+strconv.Itoa(number))
		}
		came.expect(60, selected.expression, expected)
		must(reader.Shutdown(), "shutdown")
	}
	say("pushed by conditions")
	must(sender.Shutdown(), "shutdown")
}

func dead() {
	const topic, group = "go-dead", "go-dead-group"
	sender := newProducer("go-dead-senders")
	one := message(topic, "t", "given up")
	one.WithProperty("own", "1")
	_, err := sender.SendSync(context.Background(), one)
	must(err, "send")
	var tries bag
	reader := newPusher(group, group, consumer.WithMaxReconsumeTimes(2))
	must(reader.Subscribe(topic, consumer.MessageSelector{},
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			tries.add(messages...)
			concurrently, _ := primitive.GetConcurrentlyCtx(ctx)
			concurrently.DelayLevelWhenNextConsume = 1
			return consumer.ConsumeRetryLater, nil
		}), "subscribe")
	must(reader.Start(), "start")
	tries.expect(60, "tried", []string{"given up", "given up", "given up"})
	for i, each := range tries.messages {
		check(int(each.ReconsumeTimes) == i && each.Topic == topic, "try %d: %v", i, each)
	}
	// It was given back once more when the last try was answered.
	time.Sleep(time.Second)
	say("given up after three tries")
	must(reader.Shutdown(), "shutdown")
	must(sender.Shutdown(), "shutdown")
}

func broadcast() {
	const topic = "go-broadcast"
	sender := newProducer("go-broadcast-senders")
	var expected []string
	for i := 0; i < 40; i++ {
		_, err := sender.SendSync(context.Background(), message(topic, "t", "all"+strconv.Itoa(i)))
		must(err, "send")
		expected = append(expected, "all"+strconv.Itoa(i))
	}
	var came [2]bag
	for i := range came {
		mine := &came[i]
		name := "go-broadcast-" + strconv.Itoa(i)
		reader := newPusher("go-broadcast-group", name, consumer.WithConsumerModel(consumer.BroadCasting))
		must(reader.Subscribe(topic, consumer.MessageSelector{},
			func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
				mine.add(messages...)
				return consumer.ConsumeSuccess, nil
			}), "subscribe")
		must(reader.Start(), "start")
	}
	for i := range came {
		came[i].expect(60, "broadcast", expected)
	}
	say("all for each")
}
