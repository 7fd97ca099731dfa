'use strict'
// The package gearmanode: clients, workers and jobs as objects.
const winston = require('winston')
winston.configure({ silent: true, transports: [new winston.transports.Console()] })
for (const name of ['Client', 'Worker', 'Job', 'JobServer', 'protocol', 'LBStrategy', 'Sequence', 'RoundRobin']) {
  winston.loggers.add(name, { silent: true, transports: [new winston.transports.Console()] })
}
const gearmanode = require('gearmanode')

exports.worker = (host, port, functions, options) => {
  const worker = gearmanode.worker({ host, port, withUnique: options.unique })
  worker.on('error', (error) => { throw error })
  worker.on('jobServerError', (uid, code, text) => console.error('ERROR', code, text))
  for (const [name, run] of Object.entries(functions)) {
    worker.addFunction(name, (job) => run({
      arg: job.payload,
      complete: (result) => job.workComplete(result),
      fail: () => job.reportError(),
      exception: (text) => job.reportException(text), // sends no WORK_FAIL
      status: (n, d) => job.reportStatus(n, d),
      data: (text) => job.sendWorkData(text),
      warning: (text) => job.reportWarning(text),
    }))
  }
  worker.setWorkerId('node-gearmanode')
}

exports.client = (host, port, { exceptions }) => new Promise((resolve) => {
  const client = gearmanode.client({ host, port })
  const server = client.jobServers[0]
  const jobs = new Map()
  // It forgets a job at WORK_EXCEPTION and takes the WORK_FAIL for an error.
  client.on('error', (error) => { if (!/^unknown job/.test(error.message)) throw error })
  client.on('jobServerError', (uid, code, text) => console.log('error', code, text))
  const self = {
    submit: (func, arg, { unique, priority, background }, on) => {
      const job = client.submitJob(func, arg, { unique, background: !!background, priority: (priority || 'normal').toUpperCase() })
      job.on('created', () => { jobs.set(job.handle, job); on('created', job.handle) })
      job.on('workData', (data) => on('data', data))
      job.on('warning', (data) => on('warning', data))
      job.on('exception', (data) => on('exception', data))
      job.on('status', (s) => on('status', [s.percent_done_num, s.percent_done_den]))
      job.on('complete', () => on('complete', job.response))
      job.on('failed', () => on('fail'))
    },
    status: (handle) => new Promise((answer) => {
      const job = jobs.get(handle)
      job.removeAllListeners('status')
      job.once('status', (s) => answer({ known: s.known, running: s.running, status: [s.percent_done_num, s.percent_done_den] }))
      job.getStatus()
    }),
    echo: (data) => new Promise((answer) => {
      server.once('echo', (text) => answer(Buffer.from(text)))
      server.echo(String(data))
    }),
    close: () => client.close(),
  }
  if (!exceptions) return resolve(self)
  server.once('option', () => resolve(self))
  server.setOption('exceptions')
})
