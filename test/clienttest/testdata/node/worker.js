'use strict'
// A worker with the functions that doc.go lists:
//   worker.js LIBRARY HOST:PORT [--unique] FUNC...
// --unique asks for the unique id of each job, where that is a choice.
const functions = require('./functions')

const [library, server, ...names] = process.argv.slice(2)
const unique = names[0] === '--unique'
if (unique) names.shift()
const [host, port] = server.split(':')
const chosen = {}
for (const name of names) chosen[name] = functions[name]
require(`./with-${library}`).worker(host, Number(port), chosen, { unique })
