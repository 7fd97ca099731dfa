'use strict'
// The functions that doc.go lists, for any of the libraries. A job has its
// argument arg (a Buffer) and the methods complete, fail, exception, status,
// data and warning.
const crypto = require('crypto')
const fs = require('fs')

let failed = 0

module.exports = {
  echo: (job) => job.complete(job.arg),
  reverse: (job) => job.complete(Buffer.from(job.arg).reverse()),
  digest: (job) => job.complete(crypto.createHash('md5').update(job.arg).digest('hex')),
  note: (job) => {
    console.log(`note ${job.arg}`)
    job.complete(`noted ${job.arg}`)
  },
  hold: (job) => fs.readFile(job.arg.toString(), (error, text) => error ? job.fail() : job.complete(text)),
  steps: (job) => {
    for (const n of [1, 2, 3]) job.status(n, 3)
    job.complete('stepped')
  },
  progress: (job) => {
    job.status(3, 7)
    module.exports.hold(job)
  },
  fail: (job) => job.fail(),
  throw: (job) => job.exception(`thrown ${job.arg}`),
  flaky: (job) => failed++ < Number(job.arg) ? job.fail() : job.complete('worked'),
  chunks: (job) => {
    for (const text of ['one', 'two', 'three']) job.data(text)
    job.complete('chunked')
  },
  careful: (job) => {
    job.warning(`careful ${job.arg}`)
    job.complete('warned')
  },
}
