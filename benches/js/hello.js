// A large component: the same answer as functions/hello, with a JavaScript engine inside.
addEventListener("fetch", (event) => event.respondWith(new Response("Hello from Wicketgate")));
