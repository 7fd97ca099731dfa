<?php
// A client on PHP's gearman extension: client.php HOST:PORT SCENARIO [ARG...]
[$host, $port] = explode(':', $argv[1]);
$scenario = $argv[2];
$args = array_slice($argv, 3);

function client(bool $exceptions = false): GearmanClient
{
    global $host, $port;
    $client = new GearmanClient();
    $client->addServer($host, (int)$port, $exceptions);
    return $client;
}

function out(string ...$words): void
{
    echo implode(' ', $words), "\n";
}

// code gives a return code its name.
function code(int $code): string
{
    static $names;
    if (!$names) {
        foreach (get_defined_constants(true)['gearman'] as $name => $value) {
            if (!preg_match('/^GEARMAN_(ARGS|CLIENT|WORKER|DEFAULT|JOB|MAX|OPTION|PACKET|PIPE|RECV|SEND|UNIQUE|CON|COMMAND|MAGIC|TASK)_/', $name)) {
                $names[$value] ??= substr($name, strlen('GEARMAN_'));
            }
        }
    }
    return $names[$code] ?? (string)$code;
}

function state(GearmanClient $client, string $handle): string
{
    [$known, $running, $numerator, $denominator] = $client->jobStatus($handle);
    return ($known ? ($running ? 'running' : 'queued') : 'unknown') . ($denominator ? " $numerator/$denominator" : '');
}

function becomes(GearmanClient $client, string $handle, string $want): void
{
    while (state($client, $handle) != $want) {
        usleep(10000);
    }
    out('state', $want);
}

// watch prints every event of every task. Events of one task keep their order.
function watch(GearmanClient $client, ?array &$events = null): void
{
    $say = function (string $kind, ?callable $text = null) use (&$events) {
        return function (GearmanTask $task, $context = null) use ($kind, $text, &$events) {
            $line = trim(($context ?? '') . " $kind " . ($text ? $text($task) : ''));
            if ($events === null) {
                out($line);
            } else {
                $events[] = $line;
            }
            return GEARMAN_SUCCESS;
        };
    };
    $data = fn($task) => $task->data();
    $client->setCreatedCallback($say('created', fn($task) => $task->jobHandle()));
    $client->setDataCallback($say('data', $data));
    $client->setStatusCallback($say('status', fn($task) => "{$task->taskNumerator()}/{$task->taskDenominator()}"));
    $client->setCompleteCallback($say('complete', $data));
    $client->setExceptionCallback($say('exception', $data));
    $client->setWarningCallback($say('warning', $data));
    $client->setFailCallback($say('fail'));
}

$priorities = ['normal' => '', 'high' => 'High', 'low' => 'Low'];

$scenarios = [
    // Foreground: foreground METHOD...
    'foreground' => function (string ...$methods) {
        foreach ($methods as $method) {
            $client = client();
            $result = $client->$method('reverse', "by $method");
            out($method, code($client->returnCode()), $result);
        }
        $client = client();
        $bytes = str_repeat(implode('', array_map('chr', range(0, 255))), 400);
        out('bytes', $client->doNormal('reverse', $bytes) === strrev($bytes) ? 'intact' : 'damaged');
        out('nuls', $client->doNormal('echo', "a\0b\0\0") === "a\0b\0\0" ? 'intact' : 'damaged');
    },

    // One call of doNormal: one FUNC ARG [EXCEPTIONS]
    'one' => function (string $function, string $arg, string $exceptions = '') {
        $client = client((bool)$exceptions);
        $result = @$client->doNormal($function, $arg);
        out(code($client->returnCode()), (string)$result);
    },

    // Background: background METHOD GATE
    'background' => function (string $method, string $gate) {
        $client = client();
        $handle = $client->$method('progress', $gate);
        out($method, code($client->returnCode()), $handle);
        becomes($client, $handle, 'queued');
        becomes($client, $handle, 'running 3/7');
        becomes($client, $handle, 'unknown');
    },

    // Background jobs: queue_background PRIORITY:ARG...
    'queue_background' => function (string ...$jobs) {
        global $priorities;
        $client = client();
        foreach ($jobs as $job) {
            [$priority, $arg] = explode(':', $job);
            $method = "do{$priorities[$priority]}Background";
            $client->$method('note', $arg);
            if ($client->returnCode() != GEARMAN_SUCCESS) {
                out($method, code($client->returnCode()));
            }
        }
        out('queued');
    },

    // Tasks of one run, with their events: tasks EXCEPTIONS PRIORITY:FUNC:ARG...
    'tasks' => function (string $exceptions, string ...$tasks) {
        global $priorities;
        $client = client((bool)$exceptions);
        $events = [];
        watch($client, $events);
        foreach ($tasks as $n => $task) {
            [$priority, $function, $arg] = explode(':', $task);
            $method = "addTask{$priorities[$priority]}";
            $client->$method($function, $arg, "task$n");
        }
        $ok = $client->runTasks();
        foreach (array_keys($tasks) as $n) {
            foreach ($events as $event) {
                if (str_starts_with($event, "task$n ")) {
                    out($event);
                }
            }
        }
        out('ran', $ok ? 'well' : 'badly', code($client->returnCode()));
    },

    'background_tasks' => function () {
        $client = client();
        watch($client);
        foreach (['addTaskBackground', 'addTaskHighBackground', 'addTaskLowBackground'] as $method) {
            $client->$method('note', $method, $method);
        }
        out('ran', $client->runTasks() ? 'well' : 'badly');
    },

    // The state of a background job as a task: task_status GATE
    'task_status' => function (string $gate) {
        $client = client();
        $handle = $client->doBackground('progress', $gate);
        becomes($client, $handle, 'running 3/7');
        $client->setStatusCallback(function (GearmanTask $task) {
            out('status', $task->isKnown() ? 'known' : 'unknown', $task->isRunning() ? 'running' : 'waiting',
                "{$task->taskNumerator()}/{$task->taskDenominator()}");
        });
        $client->addTaskStatus($handle);
        $client->runTasks();
    },

    // The state of a background job by its unique id: unique_status GATE
    'unique_status' => function (string $gate) {
        $client = client();
        $handle = $client->doBackground('progress', $gate, 'the key');
        becomes($client, $handle, 'running 3/7');
        [$known, $running, $numerator, $denominator] = $client->jobStatusByUniqueKey('the key');
        out('unique', $known ? 'known' : 'unknown', $running ? 'running' : 'waiting', "$numerator/$denominator");
        [$known] = $client->jobStatusByUniqueKey('another');
        out('another', $known ? 'known' : 'unknown');
    },

    'ping' => function () {
        $client = client(true);
        foreach (['x', "text\0with NUL", str_repeat('x', 100000)] as $text) {
            out('ping', $client->ping($text) ? 'well' : 'badly', code($client->returnCode()));
        }
    },

    // A client that does not wait for ever: impatient MILLISECONDS
    'impatient' => function (string $milliseconds) {
        $client = client();
        $client->setTimeout((int)$milliseconds);
        $before = microtime(true);
        $result = @$client->doNormal('echo', 'x');
        $took = microtime(true) - $before;
        out('result', var_export($result, true), code($client->returnCode()));
        out('took', $took > $milliseconds / 1000 * 0.9 && $took < 50 ? 'as long as allowed' : (string)$took);
    },

    // Two clients with one unique id: coalesce UNIQUE
    'coalesce' => function (string $unique) {
        $client = client();
        $events = [];
        watch($client, $events);
        foreach (['one', 'two'] as $n) {
            $client->addTask('note', $n, $n, $unique);
        }
        $client->runTasks();
        sort($events);
        foreach ($events as $event) {
            out($event);
        }
    },

    'large' => function (string $size) {
        $bytes = substr(str_repeat(random_bytes(65537), 1 + intdiv((int)$size, 65537)), 0, (int)$size);
        $client = client();
        out('echo', $client->doNormal('echo', $bytes) === $bytes ? 'intact' : 'damaged');
        out('digest', $client->doNormal('digest', $bytes) === md5($bytes) ? 'right' : 'wrong');
    },
];

$scenarios[$scenario](...$args);
