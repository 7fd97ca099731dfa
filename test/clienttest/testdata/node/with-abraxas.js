'use strict'
// The package abraxas: client and worker in one, with streams and promises. It
// asks for exceptions on every connection, and speaks of percents only.
const abraxas = require('abraxas')

const connect = (host, port) => {
  const client = abraxas.Client.connect({ host, port: Number(port), maxJobs: 1 })
  client.on('connection-error', (error) => console.error('ERROR', error.code, error.message))
  return client
}

exports.worker = (host, port, functions) => {
  const worker = connect(host, port)
  worker.setClientId('node-abraxas')
  for (const [name, run] of Object.entries(functions)) {
    // What the handler returns would become the result.
    worker.registerWorker(name, (task) => void run({
      arg: Buffer.from(task.payload),
      complete: (result) => task.end(result),
      exception: (text) => task.error(text),
      status: (n, d) => task.status(Math.round(100 * n / d) / 100), // its clients cut off the rest
      warning: (text) => task.warn(text),
    }))
  }
}

exports.client = (host, port) => new Promise((resolve) => {
  const client = connect(host, port)
  const self = {
    submit: (func, arg, { unique, priority, background }, on) => {
      const submit = background ? 'submitJobBg' : 'submitJob'
      const task = client[submit](func, { priority, uniqueid: unique, encoding: background ? 'utf8' : 'buffer' }, arg)
      task.on('status', (part) => on('status', [part, 1]))
      task.on('warn', (text) => on('warning', text))
      if (background) {
        task.then((handle) => on('created', String(handle)))
        return
      }
      task.on('created', () => on('created', task.jobid))
      task.then((result) => on('complete', Buffer.from(result)), (error) => {
        const text = String(error.message)
        if (error.name === 'JobFail') on('fail')
        else on('exception', text.slice(text.indexOf('thrown')))
      })
    },
    status: (handle) => new Promise((answer, wrong) => client.getStatus(handle, {}, (error, s) => {
      error ? wrong(error) : answer({ known: s.known === 1, running: s.running === 1, status: [s.complete, 1] })
    })),
    echo: (data) => client.echo({}, data),
    functions: () => new Promise((answer, wrong) => client.status((error, all) => error ? wrong(error) : answer(all))),
    at: (func, seconds, arg) => client.submitJobAt(func, seconds, { encoding: 'utf8' }, arg),
    schedule: (func, when, arg) => client.submitJobSched(func, when, { encoding: 'utf8' }, arg),
    close: () => client.disconnect(),
  }
  client.once('connect', () => resolve(self))
})
