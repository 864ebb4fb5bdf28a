echo iris
