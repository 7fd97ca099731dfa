'use strict'
// The package gearman: one connection that emits an event for every packet.
const gearman = require('gearman')

exports.worker = (host, port, functions, options) => {
  const worker = gearman(host, port)
  worker.on('error', (error) => { throw error })
  worker.on('ERROR', (...words) => console.error('ERROR', ...words))
  const assign = ({ handle, func_name: name, payload }) => {
    const ended = () => worker.preSleep()
    functions[name]({
      arg: payload,
      complete: (result) => { worker.sendWorkComplete(handle, result); ended() },
      fail: () => { worker.sendWorkFail(handle); ended() },
      exception: (text) => { worker.sendWorkException(handle, text); worker.sendWorkFail(handle); ended() },
      status: (n, d) => worker.sendWorkStatus(handle, String(n), String(d)),
      data: (text) => worker.sendWorkData(handle, text),
      warning: (text) => worker.sendWorkWarning(handle, text),
    })
  }
  worker.on('JOB_ASSIGN', assign)
  worker.on('JOB_ASSIGN_UNIQ', assign)
  worker.on('NOOP', () => options.unique ? worker.grabUniqueJob() : worker.grabJob())
  worker.on('NO_JOB', () => worker.preSleep())
  worker.connect(() => {
    worker.setWorkerId('node-gearman')
    for (const name of Object.keys(functions)) worker.addFunction(name)
    worker.preSleep()
  })
}

exports.client = (host, port, { exceptions }) => new Promise((resolve) => {
  const client = gearman(host, port)
  const waiting = [] // submitted and not created yet
  const jobs = new Map() // by handle, all their listeners
  const questions = []
  client.on('error', (error) => { throw error })
  client.on('ERROR', (...words) => console.log('error', ...words))
  client.on('JOB_CREATED', (handle) => {
    const on = waiting.shift()
    jobs.set(handle, [...(jobs.get(handle) || []), on])
    on('created', handle)
  })
  const tell = (handle, event, value) => (jobs.get(handle) || []).forEach((on) => on(event, value))
  const end = (handle, event, value) => {
    // Packets of one job coalesced on one connection come once per submission.
    const on = (jobs.get(handle) || []).shift()
    if (on) on(event, value)
  }
  client.on('WORK_DATA', ({ handle, payload }) => tell(handle, 'data', payload))
  client.on('WORK_WARNING', ({ handle, warning }) => tell(handle, 'warning', warning))
  client.on('WORK_STATUS', (s) => tell(s.handle, 'status', [s.percent_num, s.percent_den]))
  client.on('WORK_EXCEPTION', ({ handle, exception }) => end(handle, 'exception', exception)) // a WORK_FAIL may follow
  client.on('WORK_COMPLETE', ({ handle, payload }) => end(handle, 'complete', payload))
  client.on('WORK_FAIL', ({ handle }) => end(handle, 'fail'))
  client.on('STATUS_RES', (s) => questions.shift()({
    known: s.known === '1', running: s.running === '1', status: [s.percent_done_num, String.fromCharCode(s.percent_done_den)],
  }))
  client.on('ECHO_RES', (payload) => questions.shift()(payload))
  const self = {
    submit: (func, arg, { unique, priority, background }, on) => {
      waiting.push(on)
      client.submitJob(func, arg, { unique_id: unique, priority, background })
    },
    status: (handle) => new Promise((answer) => { questions.push(answer); client.getJobStatus(handle) }),
    echo: (data) => new Promise((answer) => { questions.push(answer); client.echo(data) }),
    functions: () => new Promise((answer) => client.adminStatus(answer)),
    close: () => client.close(),
  }
  client.connect(() => {
    if (!exceptions) return resolve(self)
    client.on('OPTION_RES', () => resolve(self))
    client.setOption('exceptions')
  })
})
