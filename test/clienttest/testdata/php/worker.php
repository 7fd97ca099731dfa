<?php
// A worker with the functions that doc.go lists, on PHP's gearman extension.
//   worker.php HOST:PORT FUNC[@SECONDS]...
// With --poll it works without blocking: it asks with a time-out and waits.
[$host, $port] = explode(':', $argv[1]);
$names = array_slice($argv, 2);
$poll = in_array('--poll', $names);
$names = array_diff($names, ['--poll']);

$worker = new GearmanWorker();
$worker->addServer($host, (int)$port);
$worker->setId('php-worker');
if ($poll) {
    $worker->addOptions(GEARMAN_WORKER_NON_BLOCKING);
    $worker->setTimeout(1000);
}

$failed = 0;
$functions = [
    'echo' => fn($job) => $job->workload(),
    'reverse' => fn($job) => strrev($job->workload()),
    'digest' => fn($job) => $job->workloadSize() == strlen($job->workload()) ? md5($job->workload()) : 'wrong size',
    'note' => function ($job) {
        echo "note {$job->workload()}\n";
        return "noted {$job->workload()}";
    },
    'hold' => fn($job) => file_get_contents($job->workload()),
    'steps' => function ($job) {
        for ($i = 1; $i <= 3; $i++) {
            $job->sendStatus($i, 3);
        }
        return 'stepped';
    },
    'progress' => function ($job) {
        $job->sendStatus(3, 7);
        return file_get_contents($job->workload());
    },
    'fail' => function ($job) {
        $job->sendFail();
    },
    'throw' => function ($job) {
        $job->sendException("thrown {$job->workload()}");
        $job->sendFail();
    },
    'flaky' => function ($job) use (&$failed) {
        if ($failed++ < (int)$job->workload()) {
            $job->sendFail();
            return;
        }
        return 'worked';
    },
    'chunks' => function ($job) {
        foreach (['one', 'two', 'three'] as $chunk) {
            $job->sendData($chunk);
        }
        return 'chunked';
    },
    'careful' => function ($job) {
        $job->sendWarning("careful {$job->workload()}");
        return 'warned';
    },
    // What a job knows of itself.
    'about' => fn($job) => "{$job->functionName()} {$job->handle()} unique {$job->unique()}",
    // The result sent before the function returns.
    'complete' => function ($job) {
        $job->sendComplete("sent {$job->workload()}");
    },
    'uncaught' => function ($job) {
        throw new Exception("uncaught {$job->workload()}");
    },
];

foreach ($names as $name) {
    [$name, $seconds] = array_pad(explode('@', $name), 2, 0);
    $worker->addFunction($name, $functions[$name], null, (int)$seconds);
}

while (true) {
    try {
        $done = @$worker->work();
    } catch (Exception $e) {
        echo "caught {$e->getMessage()}\n";
        continue;
    }
    if ($done) {
        continue;
    }
    switch ($worker->returnCode()) {
        case GEARMAN_IO_WAIT:
        case GEARMAN_NO_JOBS:
            if (!@$worker->wait() && $worker->returnCode() != GEARMAN_TIMEOUT && $worker->returnCode() != GEARMAN_NO_ACTIVE_FDS) {
                fwrite(STDERR, "wait: {$worker->returnCode()} {$worker->error()}\n");
                exit(1);
            }
            break;
        case GEARMAN_SUCCESS:
        case GEARMAN_WORK_FAIL:
        case GEARMAN_TIMEOUT:
            break;
        default:
            fwrite(STDERR, "work: {$worker->returnCode()} {$worker->error()}\n");
            exit(1);
    }
}
