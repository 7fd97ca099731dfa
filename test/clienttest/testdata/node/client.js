'use strict'
// A client on one of the libraries: client.js LIBRARY HOST:PORT SCENARIO [ARG...]
const crypto = require('crypto')

const [library, server, scenario, ...args] = process.argv.slice(2)
const [host, port] = server.split(':')
const open = (options = {}) => require(`./with-${library}`).client(host, Number(port), options)
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const percent = ([n, d]) => `${Math.round(100 * Number(n) / Number(d))}%`

// job submits a job and resolves at its end; it prints the events if asked to.
const job = (client, func, arg, { print, ...options } = {}) => new Promise((resolve) => {
  const say = print ? (...words) => console.log(func, ...words) : () => {}
  client.submit(func, arg, options, (event, value) => {
    const text = event === 'status' ? percent(value) : value === undefined ? '' : String(value)
    if (event === 'created') {
      say(event, text)
      if (options.background) resolve(text)
      return
    }
    say(event, text)
    if (['complete', 'fail', 'exception'].includes(event)) resolve(value)
  })
})

const state = async (client, handle) => {
  const { known, running, status } = await client.status(handle)
  if (!known) return 'unknown'
  const progress = Number(status[0]) ? ` ${percent(status)}` : ''
  return (running ? 'running' : 'queued') + progress
}

const becomes = async (client, handle, want) => {
  while (await state(client, handle) !== want) await pause(10)
  console.log('state', want)
}

const scenarios = {
  // foreground also sends bytes that are not text, if asked to.
  foreground: async (client, binary) => {
    console.log('echo', String(await job(client, 'echo', 'hello')))
    console.log('reverse', String(await job(client, 'reverse', 'abc')))
    if (!binary) return
    const bytes = Buffer.from(Array.from({ length: 20000 }, (_, n) => n % 256))
    const result = await job(client, 'reverse', bytes)
    console.log('bytes', Buffer.from(result).reverse().equals(bytes) ? 'intact' : 'damaged')
  },

  // one FUNC ARG
  one: async (client, func, arg) => { await job(client, func, arg, { print: true }) },

  background: async (client, gate) => {
    const handle = await job(client, 'progress', gate, { background: true })
    console.log('handle', handle)
    await becomes(client, handle, 'queued')
    await becomes(client, handle, 'running 43%')
    await becomes(client, handle, 'unknown')
  },

  // queue_background PRIORITY:ARG...
  queue_background: async (client, ...jobs) => {
    for (const text of jobs) {
      const [priority, arg] = text.split(':')
      await job(client, 'note', arg, { background: true, priority: priority === 'normal' ? undefined : priority })
    }
    console.log('queued')
  },

  // queue PRIORITY:ARG... submits all at once and waits for their results.
  queue: async (client, ...jobs) => {
    const results = jobs.map((text) => {
      const [priority, arg] = text.split(':')
      return job(client, 'note', arg, { priority: priority === 'normal' ? undefined : priority })
    })
    for (const result of results) console.log(String(await result))
  },

  many: async (client, count) => {
    const results = Array.from({ length: Number(count) }, (_, n) => job(client, 'echo', `job ${n}`))
    const wrong = (await Promise.all(results)).filter((result, n) => String(result) !== `job ${n}`)
    console.log('many', wrong.length === 0 ? 'right' : `wrong ${wrong}`)
  },

  // Two clients, one unique id: coalesce UNIQUE
  coalesce: async (client, unique) => {
    const other = await open()
    const results = [job(client, 'note', 'one', { unique }), job(other, 'note', 'two', { unique })]
    for (const result of results) console.log(String(await result))
    other.close()
  },

  ping: async (client) => {
    for (const text of ['x', 'a longer text '.repeat(700)]) {
      console.log('ping', String(await client.echo(text)) === text ? 'well' : 'badly')
    }
  },

  large: async (client, size) => {
    const bytes = crypto.randomBytes(Number(size))
    console.log('echo', Buffer.from(await job(client, 'echo', bytes)).equals(bytes) ? 'intact' : 'damaged')
    const digest = crypto.createHash('md5').update(bytes).digest('hex')
    console.log('digest', String(await job(client, 'digest', bytes)) === digest ? 'right' : 'wrong')
  },

  // The text commands, where the library has them.
  functions: async (client) => {
    const { note } = await client.functions()
    console.log('note', note.total ?? note.inqueue, note.running, note.available_workers ?? note.workers)
  },

  // A background job for a moment in the future: later SECONDS ARG
  later: async (client, seconds, arg) => {
    console.log('accepted', String(await client.at('note', Number(seconds), arg)))
  },

  // A background job on a schedule: schedule ARG
  schedule: async (client, arg) => {
    console.log('accepted', String(await client.schedule('note', { minute: 0, hour: 0, day: 1, month: 1 }, arg)))
  },
}

setInterval(() => {}, 60000) // whatever a library does, the end is main's

const main = async () => {
  const exceptions = args.at(-1) === '--exceptions'
  if (exceptions) args.pop()
  const client = await open({ exceptions })
  await scenarios[scenario](client, ...args)
  client.close()
}
main().then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
